"""The conda plugin: channels of packages, for conda, mamba, rattler and pixi."""
