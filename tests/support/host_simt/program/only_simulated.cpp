// Of stepscope_simulated alone: without a simulated card it has none, so that no time of this processor is taken for a card's.
extern "C" {
extern const bool host_simt_only_simulates;
const bool host_simt_only_simulates = true;
}
