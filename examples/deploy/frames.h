// Frames as PPM files (P6, 8 bits) and windows of them, for the programs beside this file.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

struct Frame {
  int64_t height = 0, width = 0;
  std::vector<float> pixels;  // [height, width, 3], RGB in [0, 1]
};

inline Frame read_frame(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  int64_t width = 0, height = 0, largest = 0;
  if (!(file >> kind >> width >> height >> largest) || kind != "P6" || largest != 255 || width < 1 || height < 1) {
    throw std::runtime_error(path + " is no PPM image of 8 bits");
  }
  file.get();
  std::vector<uint8_t> bytes(3 * width * height);
  if (!file.read(reinterpret_cast<char*>(bytes.data()), bytes.size())) throw std::runtime_error(path + " is truncated");
  Frame frame{height, width, std::vector<float>(bytes.size())};
  std::transform(bytes.begin(), bytes.end(), frame.pixels.begin(), [](uint8_t level) { return level / 255.0f; });
  return frame;
}

inline void write_frame(const std::string& path, const float* pixels, int64_t height, int64_t width) {
  std::vector<uint8_t> bytes(3 * width * height);
  std::transform(pixels, pixels + bytes.size(), bytes.begin(), [](float value) {
    return static_cast<uint8_t>(std::nearbyint(std::clamp(value, 0.0f, 1.0f) * 255));
  });
  std::ofstream file(path, std::ios::binary);
  file << "P6\n" << width << " " << height << "\n255\n";
  file.write(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!file) throw std::runtime_error("cannot write " + path);
}

// [length, height, width, 3]: the window around frame `number`. At the ends of the clip its first or last frame stands
// in for others.
inline std::vector<float> window_around(const std::vector<Frame>& frames, int64_t number, int64_t length) {
  std::vector<float> window;
  for (int64_t step = 0; step < length; ++step) {
    const int64_t place = std::clamp<int64_t>(number - length / 2 + step, 0, frames.size() - 1);
    if (frames[place].pixels.size() != frames[0].pixels.size() || frames[place].width != frames[0].width) {
      throw std::runtime_error("frames of one clip should have one size");
    }
    window.insert(window.end(), frames[place].pixels.begin(), frames[place].pixels.end());
  }
  return window;
}

// The frames that a command line names: PROGRAM NETWORK OUT FRAME.ppm ...
inline std::vector<Frame> frames_of(int argc, char** argv) {
  if (argc < 4) throw std::runtime_error(std::string("usage: ") + argv[0] + " NETWORK OUT FRAME.ppm ...");
  std::vector<Frame> frames;
  for (int at = 3; at < argc; ++at) frames.push_back(read_frame(argv[at]));
  return frames;
}

inline std::string result_path(char** argv, int64_t number) {
  const std::string path = argv[3 + number];
  return std::string(argv[2]) + "/" + path.substr(path.find_last_of('/') + 1);
}
