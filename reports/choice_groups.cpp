#include "reports/choice_groups.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "reports/format.h"

namespace stepscope {

namespace {

std::string value_of(const Record& record) {
  const nlohmann::ordered_json value = record.axes.value("checkpointing", nlohmann::ordered_json());
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return "";
  std::vector<std::string> targets;
  for (const auto& target : value)
    if (target.is_string()) targets.push_back(target.get<std::string>());
  return fmt::format("{}", fmt::join(targets, "+"));
}

bool holds(const ChoiceGroup& group, const Cell* cell) {
  return cell != nullptr && std::ranges::find(group.cells, cell->record.id) != group.cells.end();
}

const FrontierRow* row_named(const ChoiceGroup& group, const std::string& value) {
  for (const std::vector<FrontierRow>* rows : {&group.frontier, &group.dominated})
    for (const FrontierRow& row : *rows)
      if (row.named && row.value == value) return &row;
  return nullptr;
}

// Measured over predicted: of the cell that keeps everything, else of any named one.
std::optional<double> scale_of(const Analysis& analysis, const ChoiceGroup& group) {
  std::optional<double> scale;
  for (const MeasuredChoice& choice : measured_in(analysis, group)) {
    const FrontierRow* row = row_named(group, choice.value);
    if (row == nullptr || row->step_ns <= 0 || (scale && choice.value != "none")) continue;
    scale = choice.cell->record.step_time_ns->median / row->step_ns;
  }
  return scale;
}

struct Size {
  std::string name;
  std::int64_t memory_bytes = 0, beside_bytes = 0;
};

// Sizes that people have without a card of that name: N GB counts as N 10^9 bytes, what cards hold beyond it being the context's.
std::vector<Size> sizes_of(const Analysis& analysis) {
  std::vector<Size> sizes;
  const std::vector<CardMemory>& cards = *analysis.run.choices->cards;
  const auto left = [](const Size& size) { return size.memory_bytes - size.beside_bytes; };
  for (const CardMemory& card : cards) sizes.push_back({card.title, card.memory_bytes, card.beside_bytes});
  for (const Fit& fit : analysis.answer.fits) {
    const auto same = [&](const CardMemory& card) { return card.memory_bytes < fit.bytes + fit.bytes / 4; };
    if (!fit.this_machine && std::ranges::none_of(cards, same)) sizes.push_back({fit.size, fit.bytes, 0});
  }
  std::ranges::stable_sort(sizes, {}, left);
  return sizes;
}

class Chooser {
 public:
  explicit Chooser(const Analysis& analysis) : analysis_(analysis), groups_(groups_in_order(analysis)) {
    const std::optional<double> usual = scale_of(analysis, *groups_.front());
    std::erase_if(groups_, [&](const ChoiceGroup* group) {
      return std::ranges::none_of(measured_in(analysis, *group), [&](const MeasuredChoice& choice) {
        return interchangeable(choice.cell->record, analysis.best()->record);
      });
    });
    for (const ChoiceGroup* group : groups_) scales_[group] = scale_of(analysis, *group).value_or(usual.value_or(1));
  }

  // The recommended cell where it fits, else the fastest member of any group that computes the same step.
  [[nodiscard]] CardFit fit(const Size& size) const {
    const std::int64_t limit = size.memory_bytes - size.beside_bytes;
    const Record& best = analysis_.best()->record;
    CardFit fit{.cards = {size.name}, .memory_bytes = size.memory_bytes, .beside_bytes = size.beside_bytes};
    if (peak_bytes(best) <= limit && !groups_.empty()) {
      fit.group = groups_.front();
      fit.needs_bytes = peak_bytes(best);
      fit.step_ns = best.step_time_ns->median;
      fit.measured = true;
      return fit;
    }
    std::int64_t least = 0;
    for (const ChoiceGroup* group : groups_) {
      for (const FrontierRow& row : group->frontier) {
        least = least == 0 ? row.peak_bytes : std::min(least, row.peak_bytes);
        const double step_ns = row.step_ns * scales_.at(group);
        if (row.peak_bytes > limit || (fit.row != nullptr && fit.step_ns <= step_ns)) continue;
        fit.group = group;
        fit.row = &row;
        fit.needs_bytes = row.peak_bytes;
        fit.step_ns = step_ns;
      }
    }
    if (fit.group == nullptr) fit.needs_bytes = least;
    return measured_where_it_was(std::move(fit));
  }

 private:
  [[nodiscard]] CardFit measured_where_it_was(CardFit fit) const {
    if (fit.row == nullptr) return fit;
    for (const MeasuredChoice& choice : measured_in(analysis_, *fit.group)) {
      if (choice.value != fit.row->value) continue;
      fit.step_ns = choice.cell->record.step_time_ns->median;
      fit.measured = true;
    }
    return fit;
  }

  const Analysis& analysis_;
  std::vector<const ChoiceGroup*> groups_;
  std::map<const ChoiceGroup*, double> scales_;
};

}  // namespace

std::vector<const ChoiceGroup*> groups_in_order(const Analysis& analysis) {
  std::vector<const ChoiceGroup*> groups;
  if (!analysis.run.choices) return groups;
  for (const ChoiceGroup& group : analysis.run.choices->groups)
    if (!group.frontier.empty()) groups.push_back(&group);
  const Cell* first = analysis.best() != nullptr ? analysis.best() : analysis.baseline();
  std::stable_partition(groups.begin(), groups.end(), [&](const ChoiceGroup* group) { return holds(*group, first); });
  return groups;
}

std::vector<MeasuredChoice> measured_in(const Analysis& analysis, const ChoiceGroup& group) {
  std::vector<MeasuredChoice> choices;
  const Cell* whole = nullptr;
  for (const std::string& id : group.cells) {
    const Cell* cell = analysis.run.find(id);
    if (cell == nullptr || !has_time(cell->record)) continue;
    choices.push_back({.cell = cell, .value = value_of(cell->record)});
    if (choices.back().value == "none") whole = cell;
  }
  for (MeasuredChoice& choice : choices)
    if (whole != nullptr) choice.ratio = time_ratio(*choice.cell, *whole);
  return choices;
}

std::string precision_of(const Analysis& analysis, const ChoiceGroup& group) {
  for (const std::string& id : group.cells)
    if (const Cell* cell = analysis.run.find(id)) return precision_of(cell->record);
  return "other";
}

double keeping_everything_ns(const ChoiceGroup& group) {
  const FrontierRow* row = row_named(group, "none");
  return row == nullptr ? group.frontier.front().step_ns : row->step_ns;
}

std::string choice_label(const std::string& value) {
  return value == "none" ? "keep everything" : short_value("checkpointing", value);
}

std::string choice_setting(const std::string& value) {
  if (value.find('+') == std::string::npos) return fmt::format("checkpointing = \"{}\"", value);
  std::string list = value;
  for (std::size_t at = 0; (at = list.find('+', at)) != std::string::npos; at += 4) list.replace(at, 1, "\", \"");
  return fmt::format("checkpointing = [\"{}\"]", list);
}

std::string repeated_text(const std::vector<RepeatedPlace>& places) {
  if (places.empty()) return "nothing";
  std::vector<std::string> parts;
  for (const RepeatedPlace& place : places) {
    constexpr std::string_view every_block = "blocks.*.";
    std::string name = place.place;
    if (name.starts_with(every_block)) name = name.substr(every_block.size());
    const std::size_t space = name.find(' ');
    if (space != std::string::npos && name.substr(0, space) == name.substr(space + 1)) name = name.substr(0, space);
    parts.push_back(place.repeated == place.of ? name : fmt::format("{} ({} of {})", name, place.repeated, place.of));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<CardFit> card_fits(const Analysis& analysis) {
  std::vector<CardFit> fits;
  if (analysis.best() == nullptr || groups_in_order(analysis).empty() || !analysis.run.choices->cards) return fits;
  const Chooser chooser(analysis);
  for (const Size& size : sizes_of(analysis)) {
    CardFit fit = chooser.fit(size);
    const bool same = !fits.empty() && fits.back().group == fit.group && fits.back().row == fit.row;
    same ? fits.back().cards.push_back(size.name) : fits.push_back(std::move(fit));
  }
  for (const Fit& here : analysis.answer.fits) {  // a CPU machine holds states twice while used bytes are measured
    const Record& best = analysis.best()->record;
    if (here.this_machine)
      fits.push_back(chooser.fit({here.size, here.bytes, best.device.kind == "cpu" ? best.bytes.state : 0}));
  }
  return fits;
}

}  // namespace stepscope
