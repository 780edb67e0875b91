"""One module a schema change, never edited after its release."""
