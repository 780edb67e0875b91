#pragma once

// The version this library was built as.
const char *tide_version();

// The height of the water at an hour of the day.
int tide_height(int hour);
