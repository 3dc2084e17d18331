// Restores frames with the frozen graph of a network of windows (EDVR, CDVD-TSP, DBN) by TensorFlow's C API.
//
//   g++ -std=c++17 -O2 tensorflow_frames.cc -o tensorflow_frames -I $TF/include -L $TF
//       -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2   (one line)
//   LD_LIBRARY_PATH=$TF ./tensorflow_frames EDVR.pb OUT FRAME.ppm ...
//
// $TF: the folder of the Python package (python -c "import tensorflow as tf; print(tf.__path__[0])"), or an unpacked
// libtensorflow, whose library is called tensorflow. Exported with float32 input.

#include <tensorflow/c/c_api.h>

#include <cstring>
#include <iostream>
#include <iterator>
#include <memory>

#include "frames.h"

static void check(const TF_Status* status, const std::string& what) {
  if (TF_GetCode(status) != TF_OK) throw std::runtime_error(what + ": " + TF_Message(status));
}

int main(int argc, char** argv) try {
  const std::vector<Frame> frames = frames_of(argc, argv);
  std::ifstream file(argv[1], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw std::runtime_error(std::string("cannot read ") + argv[1]);

  std::unique_ptr<TF_Status, void (*)(TF_Status*)> status(TF_NewStatus(), TF_DeleteStatus);
  std::unique_ptr<TF_Graph, void (*)(TF_Graph*)> graph(TF_NewGraph(), TF_DeleteGraph);
  std::unique_ptr<TF_Buffer, void (*)(TF_Buffer*)> definition(TF_NewBufferFromString(bytes.data(), bytes.size()),
                                                              TF_DeleteBuffer);
  std::unique_ptr<TF_ImportGraphDefOptions, void (*)(TF_ImportGraphDefOptions*)> import(
      TF_NewImportGraphDefOptions(), TF_DeleteImportGraphDefOptions);
  TF_GraphImportGraphDef(graph.get(), definition.get(), import.get(), status.get());
  check(status.get(), argv[1]);
  const TF_Output input{TF_GraphOperationByName(graph.get(), "frames"), 0};
  const TF_Output output{TF_GraphOperationByName(graph.get(), "restored"), 0};
  if (!input.oper || !output.oper) throw std::runtime_error(std::string(argv[1]) + " is no network of windows");
  int64_t shape[5];
  TF_GraphGetTensorShape(graph.get(), input, shape, 5, status.get());
  check(status.get(), argv[1]);
  const int64_t length = shape[1];

  std::unique_ptr<TF_SessionOptions, void (*)(TF_SessionOptions*)> options(TF_NewSessionOptions(),
                                                                           TF_DeleteSessionOptions);
  TF_Session* session = TF_NewSession(graph.get(), options.get(), status.get());
  check(status.get(), "session");
  for (size_t number = 0; number < frames.size(); ++number) {
    const std::vector<float> window = window_around(frames, number, length);
    const int64_t size[] = {1, length, frames[0].height, frames[0].width, 3};
    TF_Tensor* tensor = TF_AllocateTensor(TF_FLOAT, size, 5, window.size() * sizeof(float));
    std::memcpy(TF_TensorData(tensor), window.data(), window.size() * sizeof(float));
    TF_Tensor* restored = nullptr;
    TF_SessionRun(session, nullptr, &input, &tensor, 1, &output, &restored, 1, nullptr, 0, nullptr, status.get());
    TF_DeleteTensor(tensor);
    check(status.get(), result_path(argv, number));
    write_frame(result_path(argv, number), static_cast<const float*>(TF_TensorData(restored)), TF_Dim(restored, 1),
                TF_Dim(restored, 2));
    TF_DeleteTensor(restored);
  }
  TF_CloseSession(session, status.get());
  TF_DeleteSession(session, status.get());
  return 0;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
