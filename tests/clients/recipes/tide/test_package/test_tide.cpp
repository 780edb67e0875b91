#include <iostream>
#include <tide.h>

int main() {
  std::cout << "tide " << tide_version() << " at seven: " << tide_height(7) << "\n";
  return tide_height(7) == 2 ? 0 : 1;  // 8 without the patch
}
