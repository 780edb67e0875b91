#include <iostream>

#include <gauge/gauge.h>
#include <tide.h>

#include "stamped.h"

int main() {
  std::cout << STAMPED_NAME << " on tide " << tide_version() << ": "
            << gauge::marks(tide_height(2)) << "\n";
  return 0;
}
