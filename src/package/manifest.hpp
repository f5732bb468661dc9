#pragma once

#include "package/archive.hpp"
#include "package/weights.hpp"

#include <penstock/package.hpp>

#include <map>
#include <string>
#include <vector>

namespace penstock::package {

/// A model of a package with the archive entries it is made of.
struct ModelFiles {
  ModelInfo info;       ///< `needs.missing_functions` and `obstacles` are left empty.
  std::string folder;   ///< "data/aotinductor/model/"
  std::string library;  ///< Entry of the model library.
  /// Entry of the calls that the model makes by number (`read_extern_nodes`); empty where it makes none.
  std::string nodes;
  std::vector<std::string> entries;  ///< All entries below the folder.
  /// Entry of the weights where they are in one file of their own; else empty.
  std::string blob;
  /// How weights lie, by the name in PyTorch. From the generated text, which is a hint.
  std::map<std::string, WeightLayout> weight_layouts;
  /// The code splits work by its own thread count: a team must have just `info.compiled_threads`.
  bool exact_threads = false;
};

/// All of what a package states of itself.
struct Manifest {
  std::string archive_version;
  std::vector<ModelFiles> models;  ///< Sorted by name; at least one.
};

/// How to read a manifest.
struct ManifestOptions {
  /// Decode the library's code for instruction sets in any case. Otherwise only where the compile
  /// command does not tell, and this machine lacks anything that -march=native may have put in.
  bool decode_code = false;
};

/// Reads format, version, byte order, and for each model: metadata, the library's needs, text hints.
/// `needs.libraries` has libsleef.so.3 where the library imports SLEEF functions, which stock packages
/// expect of libtorch.
/// A library for another architecture is read no further than its name: `machine_obstacles` tells it.
/// Errors: Corrupt (also for calls by number that nothing names), Unsupported (format or version),
/// Incompatible (byte order, system).
Manifest read_manifest(const Archive& archive, const ManifestOptions& options = {});

/// One sentence for each thing in `info` that this machine lacks: operating system, architecture,
/// instructions, glibc, libstdc++, libraries. With the export lines that would make it portable. Of another
/// architecture only that.
std::vector<std::string> machine_obstacles(const ModelInfo& info);

}  // namespace penstock::package
