#include "tide.h"

const char *tide_version() { return TIDE_VERSION; }

int tide_height(int hour) {
  const int low = 1;
  const int swing = hour % 12;
#ifdef TIDE_METRIC
  return low + swing;
#else
  return (low + swing) * 3;
#endif
}
