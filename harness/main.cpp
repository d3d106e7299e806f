// stepscope COMMAND ...: an error becomes one line on standard error and an exit status.
// 0 done · 1 a failed check · 2 wrong use or input · 3 the machine failed · 130 stopped by Ctrl-C
#include <fmt/format.h>

#include <exception>
#include <new>

#include "harness/commands/commands.h"
#include "model/base/error.h"

namespace {

int fail(int status, std::string message) {
  for (char& c : message)
    if (c == '\n') c = ' ';
  fmt::print(stderr, "stepscope: {}\n", message);
  return status;
}

int run(int argc, char** argv) {
  CLI::App app{
      "Which mix of precision, checkpointing and accumulation to train a transformer with, what each costs, and why."};
  app.name("stepscope");
  app.require_subcommand(1);
  stepscope::add_plan(app);
  stepscope::add_step(app);
  stepscope::add_train(app);
  stepscope::add_run(app);
  stepscope::add_report(app);
  stepscope::add_devices(app);
  stepscope::add_worker(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return fail(
        2, fmt::format("{} (stepscope --help lists the commands, stepscope COMMAND --help its options)", error.what()));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const stepscope::ExitStatus& exit) {
    return exit.status;
  } catch (const stepscope::FailedCheck& error) {
    return fail(1, error.what());
  } catch (const stepscope::UsageError& error) {
    return fail(2, error.what());
  } catch (const stepscope::Unsupported& error) {
    return fail(2, error.what());
  } catch (const std::bad_alloc&) {
    return fail(3, "the machine has not enough memory for this");
  } catch (const std::exception& error) {
    return fail(3, error.what());
  }
}
