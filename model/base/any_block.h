// The path of a layer, whichever block it is in: "blocks.7.mlp.up" is "blocks.*.mlp.up".
//     any_block(program.site(operation.site).path)
#pragma once

#include <string>

namespace stepscope {

[[nodiscard]] std::string any_block(const std::string& site);

}  // namespace stepscope
