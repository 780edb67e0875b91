#include "buoy.h"

#include <cstring>

const char *side(const char *colour) { return std::strcmp(colour, "red") ? "starboard" : "port"; }
