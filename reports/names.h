// What a cell is called in tables, figures and sentences: the values of the axes that differ within the run, shortly.
//     const Names names(run);   names.label(record) -> "bf16 MLP+Attn ×4"   names.advice(record) -> "bf16, recompute MLP+Attn, 4 micro-batches"
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reports/run_folder.h"

namespace stepscope {

// The value of one axis alone: "bf16", "MLP+Attn", "×4", "sequence 256".
[[nodiscard]] std::string short_value(const std::string& axis, const nlohmann::ordered_json& value);

// An axis that only cells of some precision have: cells of another one do not differ by lacking it.
[[nodiscard]] bool belongs_to_precision(std::string_view axis);
[[nodiscard]] std::string precision_of(const Record& record);  // fp32 where its axes do not say

class Names {
 public:
  explicit Names(const MeasuredRun& run);

  [[nodiscard]] const std::vector<std::string>& varying_axes() const { return varying_; }  // in the records' order
  [[nodiscard]] const std::string& label(const Record& record) const {
    return labels_.at(record.id);
  }  // unique in the run
  [[nodiscard]] std::string advice(const Record& record) const;
  // The other axes of a cell, when one is looked at: "MLP+Attn ×4".
  [[nodiscard]] std::string label_without(const Record& record, const std::string& axis) const;

 private:
  std::vector<std::string> varying_;
  std::map<std::string, std::string> labels_;  // by id
};

}  // namespace stepscope
