#pragma once

// The side on which a buoy of this colour is left when coming in from the sea.
const char *side(const char *colour);
