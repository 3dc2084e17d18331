// Restores frames with an exported network of windows (EDVR, CDVD-TSP, DBN) by the C API of LiteRT's interpreter.
//
//   g++ -std=c++17 -O2 litert_frames.cc -o litert_frames -I $LITERT -L $LIB -ltensorflowlite_c
//   ./litert_frames EDVR.tflite OUT FRAME.ppm ...
//
// $LITERT: a clone of https://github.com/google-ai-edge/LiteRT; $LIB: where `bazel build //tflite/c:tensorflowlite_c`
// left its library. Exported with float32 input and batch 1, for the size of the frames.

#include <iostream>
#include <memory>

#include "frames.h"
#include "tflite/c/c_api.h"

static void check(TfLiteStatus status, const char* what) {
  if (status != kTfLiteOk) throw std::runtime_error(std::string(what) + " failed");
}

int main(int argc, char** argv) try {
  const std::vector<Frame> frames = frames_of(argc, argv);
  std::unique_ptr<TfLiteModel, void (*)(TfLiteModel*)> model(TfLiteModelCreateFromFile(argv[1]), TfLiteModelDelete);
  if (!model) throw std::runtime_error(std::string("cannot read ") + argv[1]);
  std::unique_ptr<TfLiteInterpreterOptions, void (*)(TfLiteInterpreterOptions*)> options(
      TfLiteInterpreterOptionsCreate(), TfLiteInterpreterOptionsDelete);
  TfLiteInterpreterOptionsSetNumThreads(options.get(), 4);
  std::unique_ptr<TfLiteInterpreter, void (*)(TfLiteInterpreter*)> interpreter(
      TfLiteInterpreterCreate(model.get(), options.get()), TfLiteInterpreterDelete);
  if (!interpreter) throw std::runtime_error(std::string(argv[1]) + " needs operations that are not here");
  check(TfLiteInterpreterAllocateTensors(interpreter.get()), "allocation");
  TfLiteTensor* input = TfLiteInterpreterGetInputTensor(interpreter.get(), 0);
  const int64_t length = TfLiteTensorDim(input, 1);
  if (TfLiteTensorDim(input, 2) != frames[0].height || TfLiteTensorDim(input, 3) != frames[0].width) {
    throw std::runtime_error(std::string(argv[1]) + " takes frames of another size");
  }
  for (size_t number = 0; number < frames.size(); ++number) {
    const std::vector<float> window = window_around(frames, number, length);
    check(TfLiteTensorCopyFromBuffer(input, window.data(), window.size() * sizeof(float)), "input");
    check(TfLiteInterpreterInvoke(interpreter.get()), "computation");
    const TfLiteTensor* restored = TfLiteInterpreterGetOutputTensor(interpreter.get(), 0);
    write_frame(result_path(argv, number), static_cast<const float*>(TfLiteTensorData(restored)),
                TfLiteTensorDim(restored, 1), TfLiteTensorDim(restored, 2));
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
