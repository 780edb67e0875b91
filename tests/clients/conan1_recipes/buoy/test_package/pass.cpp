#include <iostream>

#include "buoy.h"

int main(int, char **words) { std::cout << "leave it to " << side(words[1]) << std::endl; }
