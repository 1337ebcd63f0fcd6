"""What a repository's file is by its name and first lines: its language, or the reason to leave it out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

# Names as in langchain_text_splitters.Language where it has one, so that a chunker can look them up.
_BY_SUFFIX = {
    "python": "py pyi pyw pyx pxd bzl star",
    "js": "js mjs cjs jsx",
    "ts": "ts mts cts tsx",
    "markdown": "md markdown mdx mkd qmd rmd",
    "html": "html htm xhtml vue svelte astro",
    "rst": "rst",
    "latex": "tex sty cls",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "kotlin": "kt kts",
    "scala": "scala sc sbt",
    "swift": "swift",
    "c": "c h",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ cu cuh ino",
    "csharp": "cs csx",
    "visualbasic6": "bas frm",
    "ruby": "rb rake gemspec",
    "php": "php phtml",
    "perl": "pl pm",
    "lua": "lua",
    "haskell": "hs lhs",
    "elixir": "ex exs",
    "powershell": "ps1 psm1 psd1",
    "proto": "proto",
    "sol": "sol",
    "cobol": "cbl cob cpy",
    "r": "r",
    "julia": "jl",
    "clojure": "clj cljs cljc edn",
    "erlang": "erl hrl",
    "ocaml": "ml mli",
    "fsharp": "fs fsi fsx",
    "dart": "dart",
    "zig": "zig",
    "nim": "nim",
    "objectivec": "m mm",
    "groovy": "groovy gradle",
    "assembly": "asm s",
    "fortran": "f f90 f95 f03",
    "css": "css scss sass less",
    "sql": "sql",
    "shell": "sh bash zsh fish ksh",
    "batch": "bat cmd",
    "yaml": "yaml yml",
    "toml": "toml",
    "json": "json jsonc json5 ipynb",
    "xml": "xml xsd xsl xslt svg plist",
    "ini": "ini cfg conf properties editorconfig",
    "terraform": "tf tfvars hcl",
    "nix": "nix",
    "graphql": "graphql gql",
    "vim": "vim",
    "lisp": "el lisp cl scm rkt",
    "cmake": "cmake",
    "makefile": "mk mak",
    "dockerfile": "dockerfile",
    "diff": "diff patch",
    "csv": "csv tsv",
}
_BY_NAME = {
    "dockerfile": "dockerfile containerfile",
    "makefile": "makefile gnumakefile justfile",
    "cmake": "cmakelists.txt",
    "ruby": "gemfile rakefile podfile vagrantfile brewfile",
    "groovy": "jenkinsfile",
    "shell": ".bashrc .bash_profile .profile .zshrc .envrc",
    "python": "sconstruct sconscript build.bazel",
    "markdown": "readme changelog contributing",
    "json": ".eslintrc .prettierrc .babelrc",
    "ini": ".gitconfig .env .env.example",
}
_LANGUAGE_OF_SUFFIX = {f".{suffix}": name for name, suffixes in _BY_SUFFIX.items() for suffix in suffixes.split()}
_LANGUAGE_OF_NAME = {file: name for name, files in _BY_NAME.items() for file in files.split()}

# fmt: off
_VENDORED = {
    "node_modules", "bower_components", "jspm_packages", "vendor", "vendors", "_vendor", "third_party",
    "third-party", "thirdparty", "dist", ".venv", "venv", "site-packages", "__pycache__", ".tox", ".nox", ".eggs",
    ".yarn", ".next", ".nuxt", ".gradle", "pods", "carthage",
}
_GENERATED_NAMES = {
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "deno.lock",
    "poetry.lock", "pdm.lock", "uv.lock", "pixi.lock", "pipfile.lock", "conda-lock.yml", "cargo.lock",
    "gemfile.lock", "composer.lock", "podfile.lock", "pubspec.lock", "mix.lock", "flake.lock", "go.sum",
    "gradle.lockfile", "packages.lock.json",
}
_GENERATED_SUFFIXES = (
    ".min.js", ".min.css", ".bundle.js", ".map", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py", ".pb.go", ".pb.cc", ".pb.h",
    ".g.dart", ".freezed.dart", ".designer.cs",
)
# fmt: on
# The convention of Go, protoc, Bazel, Facebook's tools and many others, who write it on top.
_GENERATED_MARKER = re.compile(r"@gen(?:erated)\b|\bDO NOT (?:EDIT|MODIFY)\b")
_HEAD_CHARACTERS = 1_000
_PROSE = {"markdown", "rst", "latex", "text", "html"}
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def language_of(path: str) -> str:
    """Return the lower-case name of the language of the file at this path; `text` where none is known."""
    name = PurePosixPath(path).name.lower()
    if name in _LANGUAGE_OF_NAME:
        return _LANGUAGE_OF_NAME[name]
    if name.startswith(("dockerfile.", "makefile.")):
        return name.partition(".")[0]
    return _LANGUAGE_OF_SUFFIX.get(PurePosixPath(name).suffix, "text")


def skip_by_path(path: str) -> str | None:
    """Return why a file is left out unread, or None."""
    *folders, name = path.lower().split("/")
    if not _VENDORED.isdisjoint(folders):
        return "vendored"
    if name in _GENERATED_NAMES or name.endswith(_GENERATED_SUFFIXES):
        return "generated"
    return None


def skip_by_content(path: str, content: bytes) -> str | None:
    """Return why a file that was read is left out, or None; what is not left out is UTF-8 text."""
    if content.startswith(_LFS_POINTER):
        return "LFS pointer"
    if b"\0" in content:
        return "binary"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    if not text.strip():
        return "empty"
    if language_of(path) not in _PROSE and _GENERATED_MARKER.search(text, 0, _HEAD_CHARACTERS):
        return "generated"
    return None
