#pragma once

// The whole public API. docs/architecture.md says where to start.
#include <penstock/audit.hpp>
#include <penstock/custom_objects.hpp>
#include <penstock/device.hpp>
#include <penstock/device_memory.hpp>
#include <penstock/dtype.hpp>
#include <penstock/error.hpp>
#include <penstock/io.hpp>
#include <penstock/log.hpp>
#include <penstock/model.hpp>
#include <penstock/operators.hpp>
#include <penstock/package.hpp>
#include <penstock/partition.hpp>
#include <penstock/session.hpp>
#include <penstock/stream.hpp>
#include <penstock/system.hpp>
#include <penstock/tensor.hpp>
#include <penstock/tensorrt.hpp>
#include <penstock/value.hpp>
#include <penstock/version.hpp>
