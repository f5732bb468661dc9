// Tests ask for more memory than any machine has, to see that they are told so. The sanitizers' allocators
// end the process there unless they are asked to give null, as the real one does.

extern "C" const char* __asan_default_options();
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_suppressions();

extern "C" __attribute__((visibility("default"))) const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}

extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "allocator_may_return_null=1";
}

// oneDNN is not ours and not compiled for the sanitizer, which does not see how its caches are guarded.
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_suppressions() {
  return "race:libdnnl.so.3\n";
}
