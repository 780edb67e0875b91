#include <fstream>
#include <iostream>

int main(int count, char **words) {
  if (count != 3) {
    std::cerr << "usage: stamp FILE NAME\n";
    return 2;
  }
  std::ofstream header(words[1]);
  header << "#define STAMPED_NAME \"" << words[2] << "\"\n";
  return header ? 0 : 1;
}
