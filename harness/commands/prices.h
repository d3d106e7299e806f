// The table of stepscope plan --prices: what each target of checkpointing frees and costs, the cheapest first.
#pragma once

#include <string>

#include "model/training/prices.h"

namespace stepscope {

void print_prices(const std::string& cell, const std::string& times_of, const Prices& prices);  // as a table
void print_prices_json(const std::string& cell, const std::string& times_of,
                       const Prices& prices);  // one object a line

}  // namespace stepscope
