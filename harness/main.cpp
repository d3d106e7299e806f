// stepscope COMMAND ...: an error becomes one line on standard error and an exit status.
// 0 done · 1 a failed check · 2 wrong use or input · 3 the machine failed, or what was printed is lost · 130 stopped by Ctrl-C
#include <fcntl.h>
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>

#include "harness/commands/commands.h"
#include "harness/printable.h"
#include "model/base/error.h"
#include "model/base/nearest.h"

namespace {

constexpr const char* output_lost = "standard output cannot be written: what was printed is lost";

int fail(int status, const std::string& message) {
  std::fputs(("stepscope: " + stepscope::one_line(message) + "\n").c_str(), stderr);
  return status;
}

// The number of a closed stream would go to the next file that is opened, and what is printed into it.
void hold_standard_streams() {
  for (int stream = 0; stream <= 2; ++stream)
    if (fcntl(stream, F_GETFD) < 0) (void)open("/dev/null", O_RDONLY);  // as closed: writing to it fails
}

// Values end up in messages, file names and JSON. A prompt may be any bytes: it is a text to go on from.
void check_words(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], before = argv[i - 1];
    if (before == "--prompt" || word.starts_with("--prompt=")) continue;
    const std::string option = before.starts_with("--") ? before + " " : "";
    if (!stepscope::is_printable(word))
      throw stepscope::UsageError(fmt::format("{}{}: UTF-8 without control characters is needed", option,
                                              stepscope::printable(stepscope::shortened(word))));
    const bool empty = word.starts_with("--") && word.find('=') == word.size() - 1;
    if (word.empty() || empty)
      throw stepscope::UsageError(fmt::format("{}: is empty, a value is needed", empty ? word : option + "''"));
  }
}

// "" where the command exists, or none was given.
std::string unknown_command(const CLI::App& app, int argc, char** argv) {
  const std::string word = argc > 1 ? argv[1] : "-";
  if (word.starts_with("-")) return "";
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == word) return "";
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  const std::string near = stepscope::nearest(word, names);
  return fmt::format("no command {}; {}stepscope --help lists the commands", word,
                     near.empty() ? "" : fmt::format("the nearest is {}; ", near));
}

int run(int argc, char** argv) {
  CLI::App app{
      "Which mix of precision, checkpointing and accumulation to train a transformer with, what each costs, and why."};
  app.name("stepscope");
  app.set_version_flag("--version", "stepscope " STEPSCOPE_VERSION);
  app.require_subcommand(1);
  stepscope::add_plan(app);
  stepscope::add_advise(app);
  stepscope::add_step(app);
  stepscope::add_train(app);
  stepscope::add_run(app);
  stepscope::add_report(app);
  stepscope::add_merge(app);
  stepscope::add_compare(app);
  stepscope::add_explain(app);
  stepscope::add_devices(app);
  stepscope::add_tune(app);
  stepscope::add_worker(app);
  check_words(argc, argv);
  if (const std::string unknown = unknown_command(app, argc, argv); !unknown.empty()) return fail(2, unknown);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return fail(
        2, fmt::format("{} (stepscope --help lists the commands, stepscope COMMAND --help its options)", error.what()));
  }
  return 0;
}

int run_to_status(int argc, char** argv) {
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
    return fail(3, std::ferror(stdout) != 0 ? output_lost : error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of writing, told like a full disk
  hold_standard_streams();
  const int status = run_to_status(argc, argv);
  const bool lost = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  return lost && status == 0 ? fail(3, output_lost) : status;
}
