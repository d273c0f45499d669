// The runtime as a torch class, for tests of the path that an MD engine takes.
#include <torch/custom_class.h>

#include "model.h"

namespace {

struct RuntimeModel : torch::CustomClassHolder {
  explicit RuntimeModel(const std::string &path) : model(path) {}

  std::vector<at::Tensor> evaluate(const std::vector<at::Tensor> &inputs) {
    TORCH_CHECK(inputs.size() == 9, "RuntimeModel.evaluate: expected 9 tensors, found ", inputs.size());
    const charon::ModelOutput output = model.evaluate(
        {inputs[0], inputs[1], inputs[2], inputs[3], inputs[4], inputs[5], inputs[6], inputs[7], inputs[8]});
    return {output.energies,          output.charges,         output.spins,  output.edge_gradient,
            output.position_gradient, output.strain_gradient, output.dipoles};
  }

  charon::Model model;
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.class_<RuntimeModel>("RuntimeModel")
      .def(torch::init<std::string>())
      .def("metadata", [](const c10::intrusive_ptr<RuntimeModel> &self) { return self->model.metadata_text(); })
      .def("evaluate", [](const c10::intrusive_ptr<RuntimeModel> &self, const std::vector<at::Tensor> &inputs) {
        return self->evaluate(inputs);
      });
}
