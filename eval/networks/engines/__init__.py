"""Programs that run a network: MXNet, onnxruntime and OpenVINO, and the choice between them."""
