// Restores frames with an exported network of windows (EDVR, CDVD-TSP, DBN) in OpenVINO.
//
//   g++ -std=c++17 -O2 openvino_frames.cc -o openvino_frames -I $OV/include -L $OV/libs -l:libopenvino.so.2641
//   LD_LIBRARY_PATH=$OV/libs ./openvino_frames EDVR.xml OUT FRAME.ppm ...
//
// $OV: the folder of the Python package (python -c "import openvino; print(openvino.__path__[0])"), whose library has
// the number of its version in its name; with an installed OpenVINO, find_package(OpenVINO) of CMake. Exported with
// float32 input.

#include <cstring>
#include <iostream>
#include <openvino/openvino.hpp>

#include "frames.h"

int main(int argc, char** argv) try {
  const std::vector<Frame> frames = frames_of(argc, argv);
  ov::Core core;
  auto model = core.read_model(argv[1]);
  const int64_t length = model->input("frames").get_partial_shape()[1].get_length();
  // With free sizes results on CPUs vary: the network is compiled for the size of the frames, in float32.
  const ov::Shape shape{1, static_cast<size_t>(length), static_cast<size_t>(frames[0].height),
                        static_cast<size_t>(frames[0].width), 3};
  model->reshape({{"frames", ov::PartialShape(shape)}});
  auto request = core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32)).create_infer_request();
  ov::Tensor input(ov::element::f32, shape);
  request.set_tensor("frames", input);
  for (size_t number = 0; number < frames.size(); ++number) {
    const std::vector<float> window = window_around(frames, number, length);
    std::memcpy(input.data<float>(), window.data(), window.size() * sizeof(float));
    request.infer();
    const ov::Tensor restored = request.get_tensor("restored");
    write_frame(result_path(argv, number), restored.data<float>(), restored.get_shape()[1], restored.get_shape()[2]);
  }
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
