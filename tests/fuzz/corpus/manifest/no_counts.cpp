inputs_info_[0].name = "arg0_1";
    inputs_info_[1].name = "arg1_1";
    constants_info_[0].data_size = 128;
    constants_info_[0].shape = {4, 8};
    constants_info_[0].stride = {8, 1};
    constants_info_[0].original_fqn = "fc.weight";
    in_spec_ = R"([1, {"type": "builtins.tuple", "context": "null", "children_spec": [{"type": "builtins.tuple", "context": "null", "children_spec": [{"type": null, "context": null, "children_spec": []}]}, {"type": "builtins.dict", "context": "[\"scale\", \"opts\"]", "children_spec": [{"type": null, "context": null, "children_spec": []}, {"type": "builtins.list", "context": "null", "children_spec": [{"type": null, "context": null, "children_spec": []}]}]}]}])";
    int32_t arg0_1_expected_dtype = aoti_torch_dtype_float32();
    if (arg0_1_size[0] < 2) {
    if (arg0_1_size[0] > 64) {
    if (64 != arg0_1_size[1]) {
    if (1 != arg0_1_stride[1]) {
    int32_t arg1_1_expected_dtype = aoti_torch_dtype_int64();
    int32_t arg1_1_expected_device_type = 0;
    int64_t s17 = arg0_1_size[0];
    int64_t s77 = s17;
    if (check()) { assert_size_stride(arg1_1, {s77, 3L}, {3L, 1L}, "input"); }
// /usr/bin/g++ -O1 -march=x86-64-v3
