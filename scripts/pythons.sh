# The Pythons that pyproject.toml claims and this machine has; sourced by the other scripts, which lie beside it.

# Versions such as 3.11, in the order of the classifiers.
claimed_pythons() {
  sed -n 's/.*"Programming Language :: Python :: \(3\.[0-9]*\)".*/\1/p' pyproject.toml
}

# Prints an interpreter of the version $1 that starts and can make virtual environments; fails where there is none.
interpreter_of() {
  local version=$1 candidate
  for candidate in "${PYTHON:-}" "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/"python$version" \
    "/usr/local/bin/python$version" "/usr/bin/python$version" python3 python; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null
    then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Prints every claimed version that this machine has, one a line.
pythons_here() {
  local version
  for version in $(claimed_pythons); do
    interpreter_of "$version" >/dev/null && echo "$version"
  done
  return 0
}

# Where the virtual environment of the version $1 lies; the first one's, which has everything, is .venv.
environment_of() {
  if [ "$1" = "$(first_python)" ]; then echo .venv; else echo ".venv-$1"; fi
}

# The version of the environment with everything: the one of .venv, else that of $PYTHON, else the first one here.
first_python() {
  local version
  if [ -x .venv/bin/python ]; then
    .venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'
  elif [ -n "${PYTHON:-}" ]; then
    "$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])'
  else
    for version in $(claimed_pythons); do
      interpreter_of "$version" >/dev/null && echo "$version" && return
    done
    return 1
  fi
}
