// The names of functions that no dynamic table has: kernels are static. Read from the program's own table of symbols.
#include <elf.h>
#include <link.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <unordered_map>
#include <vector>

#include "tests/support/host_simt/simulation.cuh"

namespace stepscope::host_simt {

namespace {

struct Names {
  std::vector<char> file;
  std::unordered_map<std::uintptr_t, const char*> of;  // by address as linked
};

template <class T>
const T* at(const std::vector<char>& file, std::size_t offset, std::size_t index) {
  const std::size_t begin = offset + index * sizeof(T);
  return begin + sizeof(T) <= file.size() ? reinterpret_cast<const T*>(file.data() + begin) : nullptr;
}

void read_table(Names& names, const Elf64_Shdr& table, const Elf64_Shdr& texts) {
  for (std::size_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
    const auto* const symbol = at<Elf64_Sym>(names.file, table.sh_offset, i);
    if (symbol == nullptr) return;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC)
      names.of.emplace(symbol->st_value, names.file.data() + texts.sh_offset + symbol->st_name);
  }
}

Names read_names() {
  Names names;
  std::ifstream stream("/proc/self/exe", std::ios::binary);
  names.file.assign(std::istreambuf_iterator<char>(stream), {});
  const auto* const header = at<Elf64_Ehdr>(names.file, 0, 0);
  if (header == nullptr || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return names;
  for (std::size_t i = 0; i < header->e_shnum; ++i) {
    const auto* const section = at<Elf64_Shdr>(names.file, header->e_shoff, i);
    if (section == nullptr || section->sh_type != SHT_SYMTAB) continue;
    const auto* const texts = at<Elf64_Shdr>(names.file, header->e_shoff, section->sh_link);
    if (texts != nullptr) read_table(names, *section, *texts);
  }
  return names;
}

// The program itself is the first of what is loaded.
std::uintptr_t load_address() {
  std::uintptr_t address = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;
      },
      &address);
  return address;
}

}  // namespace

const char* name_of_function(const void* function) {
  static const Names names = read_names();
  static const std::uintptr_t base = load_address();
  const auto found = names.of.find(reinterpret_cast<std::uintptr_t>(function) - base);
  return found == names.of.end() ? "kernel" : found->second;
}

}  // namespace stepscope::host_simt
