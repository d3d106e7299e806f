// What stepscope advise says: a sentence, runners-up, what would change it, and what measuring made of it; for people and as JSON.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/advise.h"
#include "harness/advise_measure.h"

namespace stepscope {

struct AdvisedChange {  // a question, and its answer
  std::string what;
  Advice advice;
};

struct GivenAdvice {
  MatrixCell base;
  Advice advice;
  std::vector<AdvisedChange> changes;
  std::vector<std::string> notes;
};

// "step --preset tiny --set precision=bf16": what shows a mix.
using ArgumentsOf = std::function<std::string(const Mix&)>;

void print_advice(const GivenAdvice& answer, const AdviceRequest& request, const ArgumentsOf& arguments_of);
void print_measured(const MeasuredAdvice& measured, const std::string& run);

// One line, stepscope.advice/1.
void print_advice_json(const GivenAdvice& answer, const AdviceRequest& request);
void print_measured_json(const GivenAdvice& answer, const AdviceRequest& request, const MeasuredAdvice& measured);

}  // namespace stepscope
