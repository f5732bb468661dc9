#pragma once

#include "call_spec.hpp"
#include "inputs.hpp"

#include <penstock/error.hpp>
#include <penstock/model.hpp>
#include <penstock/session.hpp>

#include <nanobind/nanobind.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace penstock::python {

/// Which library's tensors a call gives.
enum class OutputForm { Penstock, Torch };

/// What a call is told besides its inputs.
struct CallOptions {
  nanobind::object stream = {};  ///< None or nothing: the current one.
  nanobind::object out = {};     ///< The same: Penstock gives memory.
  OutputForm form = OutputForm::Penstock;
  bool detaches = false;  ///< Tensors that require grad are taken without their history.
};

struct PyModel;

/// A session with the memory that its calls use.
class PySession {
 public:
  /// `keeps` is the model, or null for a session that the model itself has.
  PySession(const PyModel& model, const SessionOptions& options, nanobind::object keeps);
  /// Waits for the last run without the GIL.
  ~PySession();
  PySession(const PySession&) = delete;
  PySession& operator=(const PySession&) = delete;

  /// One inference, in the user's structures. On CUDA it is put on the stream and not waited for. The GIL is
  /// given up for it. Errors: as Session::run and Session::enqueue; TypeError for another structure;
  /// InvalidArgument while another thread is in a call of it.
  nanobind::object call(nanobind::handle args, nanobind::handle kwargs, const CallOptions& options);
  /// One inference on the tensors of a sequence, in the order of the model's inputs: a list of outputs.
  nanobind::object call_flat(nanobind::handle inputs, const CallOptions& options);
  Audit audit(nanobind::handle args, nanobind::handle kwargs, nanobind::handle stream, AuditLevel level);
  void prepare(std::vector<std::vector<std::int64_t>> shapes, nanobind::handle stream);

  // Of the session; a call of another thread refuses them as it refuses another call.
  [[nodiscard]] LastRun last_run();
  [[nodiscard]] GraphStatistics graph_statistics();
  [[nodiscard]] StreamWaits stream_waits();
  [[nodiscard]] SessionMemory memory();
  void release_memory();
  [[nodiscard]] int threads() const noexcept { return session_.threads(); }

  [[nodiscard]] const PyModel& model() const noexcept { return model_; }
  template <class Visit>
  int visit(Visit&& each) const {
    return each(keeps_.ptr());
  }

 private:
  class Turn;
  void read_by_name(const nanobind::dict& kwargs);
  void read_inputs(nanobind::handle args, nanobind::handle kwargs);
  void read_leaves();
  /// What the caller calls an input.
  [[nodiscard]] std::string place_of(std::size_t input) const;
  /// The same of a tensor of `out=`.
  [[nodiscard]] std::string target_place(std::size_t output) const;
  void read_outputs(nanobind::handle out);
  [[nodiscard]] Library library_of_call(OutputForm form) const;
  [[nodiscard]] PyStream choose_stream(nanobind::handle stream, OutputForm form = OutputForm::Penstock) const;
  std::vector<Tensor> run(const std::optional<PyStream>& stream);
  /// Lets others wait for what a run put on a stream: torch's current stream does where its tensors are
  /// given. Gives what tells when the run is done, where its stream is a default one.
  std::shared_ptr<const Event> order_takers(const PyStream& stream, const CallOptions& options);
  /// The tensors as `form` has them.
  std::vector<nanobind::object> give(std::vector<Tensor> made, const std::optional<PyStream>& stream,
                                     const CallOptions& options);
  [[nodiscard]] bool on_cuda() const noexcept;

  nanobind::object keeps_;
  const PyModel& model_;
  Session session_;
  std::optional<Stream> beside_default_;  ///< For calls where no context is current.
  std::atomic_flag busy_;
  // Of the call that goes on.
  std::vector<nanobind::object> leaves_;
  std::vector<std::size_t> leaf_numbers_;  ///< Among those of the call, where some are no tensors.
  bool is_flat_ = false;
  Inputs inputs_;
  std::vector<nanobind::object> targets_;
  Inputs outputs_;
};

/// A loaded model, with sessions for calls of the model itself: as many as threads were in one at once.
struct PyModel {
  PyModel(penstock::Model loaded, ModelInfo described, const SessionOptions& session_options);
  ~PyModel();
  PyModel(const PyModel&) = delete;
  PyModel& operator=(const PyModel&) = delete;

  template <class Visit>
  int visit(Visit&& each) const {
    return each(functions.ptr());
  }

  /// A session for one call. The GIL or a lock of its own keeps it in order.
  [[nodiscard]] std::unique_ptr<PySession> take_session();
  void put_back(std::unique_ptr<PySession> session);

  penstock::Model model;
  ModelInfo info;
  SessionOptions options;
  std::optional<CallSpec> inputs;   ///< Nothing where the package does not state it.
  std::optional<CallSpec> outputs;  ///< The same.
  /// A tuple of what the registry of the load has of Python, which the library calls and does not keep.
  nanobind::object functions = {};
  std::optional<Error> call_problem;  ///< Why the structure of the call cannot be followed.

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<PySession>> idle_;
};

/// A path of Python. Errors: ValueError for one that no file can have; TypeError, which begins with `wanted`,
/// for what is none.
[[nodiscard]] std::filesystem::path path_of(nanobind::handle source, const std::string& wanted);

/// Opens a path, or the bytes of a file, without the GIL. Errors: TypeError for another object, else as
/// `Package::open`.
[[nodiscard]] Package open_package(const nanobind::object& source, const OpenOptions& options);

void bind_packages(nanobind::module_& module);
void bind_models(nanobind::module_& module);
void bind_sessions(nanobind::module_& module);
void bind_objects(nanobind::module_& module);

}  // namespace penstock::python
