#pragma once

#include <string>

namespace gauge {

inline std::string marks(int height) { return std::string(static_cast<std::size_t>(height), '|'); }

}  // namespace gauge
