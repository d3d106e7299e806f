#include "reports/names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace stepscope {

namespace {

using Json = nlohmann::ordered_json;

std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return value.dump();
  std::vector<std::string> parts;
  for (const Json& part : value) parts.push_back(plain(part));
  return fmt::format("{}", fmt::join(parts, "+"));
}

std::string short_target(const std::string& target) {
  if (target == "TransformerBlock") return "Block";
  if (target == "MLPBlock") return "MLP";
  return target == "AttentionBlock" ? "Attn" : target;
}

// "budget:60%" -> "budget 60 %".
std::string short_budget(const std::string& limit) {
  const std::size_t unit = limit.find_first_not_of("0123456789.");
  if (unit == 0 || unit == std::string::npos) return "budget " + limit;
  return fmt::format("budget {} {}", limit.substr(0, unit), limit.substr(unit));
}

// A list of targets, or one text with + between them.
std::string checkpointing(const Json& value) {
  const std::string all = plain(value);
  if (all.starts_with("budget:")) return short_budget(all.substr(7));
  std::vector<std::string> targets;
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = all.find('+', begin);
    targets.push_back(short_target(all.substr(begin, end - begin)));
  }
  return fmt::format("{}", fmt::join(targets, "+"));
}

bool is_core(const std::string& axis) {
  return axis == "precision" || axis == "checkpointing" || axis == "accumulation";
}

std::string recompute_advice(const Json& value) {
  const std::string target = checkpointing(value);
  if (target == "none") return "recompute nothing";
  if (target == "Block") return "recompute each block";
  if (target.starts_with("every-")) return fmt::format("recompute {} blocks at a time", target.substr(6));
  if (target == "budget auto") return "recompute no more than must be to fit";
  if (target.starts_with("budget ")) return fmt::format("recompute to a budget of {}", target.substr(7));
  return "recompute " + target;
}

}  // namespace

std::string short_value(const std::string& axis, const Json& value) {
  if (axis == "precision") return plain(value);
  if (axis == "checkpointing") return checkpointing(value);
  if (axis == "accumulation") return "×" + plain(value);
  if (axis == "residual_precision") return plain(value) + " residual";
  if (axis == "softmax_precision") return plain(value) + " softmax";
  if (axis == "gradient_precision") return plain(value) + " gradients";
  if (axis == "launch") return plain(value) == "eager" ? "launched one by one" : "as graphs";
  if (axis == "attention_kernel") return plain(value) == "cudnn" ? "attention by cuDNN" : "our attention";
  if (axis == "logits_chunks") return value == Json(1) ? "whole logits" : plain(value) + " chunks";
  return fmt::format("{} {}", axis, value.is_null() ? "default" : plain(value));
}

bool belongs_to_precision(std::string_view axis) { return axis.starts_with("loss_scale"); }

std::string precision_of(const Record& record) {
  const auto found = record.axes.find("precision");
  return found != record.axes.end() && found->is_string() ? found->get<std::string>() : "fp32";
}

Names::Names(const MeasuredRun& run) {
  std::vector<std::string> axes;
  for (const Cell& cell : run.cells) {
    for (const auto& [axis, value] : cell.record.axes.items()) {
      if (std::find(axes.begin(), axes.end(), axis) == axes.end()) axes.push_back(axis);
    }
  }
  for (const std::string& axis : axes) {
    std::set<std::string> values;
    for (const Cell& cell : run.cells)
      if (cell.record.axes.contains(axis) || !belongs_to_precision(axis))
        values.insert(cell.record.axes.value(axis, Json()).dump());
    if (values.size() > 1) varying_.push_back(axis);
  }
  std::map<std::string, int> uses;
  for (const Cell& cell : run.cells) {
    std::string label = label_without(cell.record, "");
    ++uses[label];
    labels_[cell.record.id] = std::move(label);
  }
  for (auto& [id, label] : labels_) {  // the id ends in a hash of everything that is resolved
    if (label.empty() || uses[label] > 1)
      label += (label.empty() ? "" : " ") + id.substr(id.size() > 6 ? id.size() - 6 : 0);
  }
}

std::string Names::label_without(const Record& record, const std::string& left_out) const {
  std::vector<std::string> parts;
  for (const auto& [axis, value] : record.axes.items()) {
    const bool varies = std::find(varying_.begin(), varying_.end(), axis) != varying_.end();
    if (axis != left_out && (varies || is_core(axis))) parts.push_back(short_value(axis, value));
  }
  return fmt::format("{}", fmt::join(parts, " "));
}

std::string Names::advice(const Record& record) const {
  std::vector<std::string> parts;
  for (const auto& [axis, value] : record.axes.items()) {
    if (axis == "checkpointing") {
      parts.push_back(recompute_advice(value));
    } else if (axis == "accumulation") {
      parts.push_back(value == Json(1) ? "1 micro-batch" : plain(value) + " micro-batches");
    } else if (axis == "precision" || std::find(varying_.begin(), varying_.end(), axis) != varying_.end()) {
      parts.push_back(short_value(axis, value));
    }
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace stepscope
