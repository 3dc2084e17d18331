// Restores frames with an exported network of windows (EDVR, CDVD-TSP, DBN) in ONNX Runtime.
//
//   g++ -std=c++17 -O2 onnxruntime_frames.cc -o onnxruntime_frames -I $ORT/include -L $ORT/lib -lonnxruntime
//   ./onnxruntime_frames EDVR.onnx OUT FRAME.ppm ...
//
// $ORT: an unpacked release of ONNX Runtime (onnxruntime-linux-x64-*.tgz). Exported with float32 input and batch 1.

#include <onnxruntime_cxx_api.h>

#include <array>
#include <iostream>

#include "frames.h"

int main(int argc, char** argv) try {
  const std::vector<Frame> frames = frames_of(argc, argv);
  Ort::Env environment(ORT_LOGGING_LEVEL_ERROR, "frames");
  Ort::Session session(environment, argv[1], Ort::SessionOptions());
  const int64_t length = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape()[1];
  const std::array<int64_t, 5> shape{1, length, frames[0].height, frames[0].width, 3};
  const char *input = "frames", *output = "restored";
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  for (size_t number = 0; number < frames.size(); ++number) {
    std::vector<float> window = window_around(frames, number, length);
    Ort::Value tensor =
        Ort::Value::CreateTensor<float>(memory, window.data(), window.size(), shape.data(), shape.size());
    const auto results = session.Run(Ort::RunOptions(), &input, &tensor, 1, &output, 1);
    const auto size = results[0].GetTensorTypeAndShapeInfo().GetShape();
    write_frame(result_path(argv, number), results[0].GetTensorData<float>(), size[1], size[2]);
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
