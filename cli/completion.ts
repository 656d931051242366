/**
 * `quorate completion`: what the shells need to complete commands, options, choices, files and names of parties. It is
 * generated from the command tree, so that it names what there is.
 *
 * @module
 */

import { Argument, type Command, type Option } from "commander";
import { CURVES } from "../src/math/curve.ts";
import { optionsOf } from "./options.ts";
import { print } from "./output.ts";

/** Shells for which there is completion. */
export const SHELLS = ["bash", "zsh", "fish"] as const;

/** Adds the command. */
export function addCompletion(root: Command): void {
  root.command("completion")
    .description("print a script that makes a shell complete commands, options, files and names of parties")
    .addArgument(new Argument("<shell>", "which shell it is for").choices(SHELLS))
    .action((shell: typeof SHELLS[number], _options: unknown, command: Command) => {
      const script = completionOf(root, shell);
      print(optionsOf(command).json, { shell, script }, script);
    });
}

/** The script for one shell. */
export function completionOf(root: Command, shell: typeof SHELLS[number]): string {
  const places = placesIn(root);
  switch (shell) {
    case "bash":
      return bashScript(places);
    case "zsh":
      return zshScript(places);
    case "fish":
      return fishScript(places);
  }
}

/** What is expected where a value stands. */
type Kind = "none" | "file" | "directory" | "party" | "parties" | readonly string[];

/** Something that can be typed, and what it is. */
interface Word {
  readonly text: string;
  readonly description: string;
}

interface Choice extends Word {
  /** Undefined for an option that takes no value. */
  readonly value: Kind | undefined;
}

/** What can follow after the words of a command, as `key sign`. */
interface Place {
  readonly path: string;
  readonly commands: readonly Word[];
  readonly options: readonly Choice[];
  readonly argument: Kind;
}

function placesIn(root: Command): Place[] {
  const places: Place[] = [];
  const visit = (command: Command, path: readonly string[], inherited: readonly Choice[]) => {
    const own = [...inherited, ...command.options.filter(({ hidden }) => !hidden).map(choiceOf)];
    places.push({
      path: path.join(" "),
      commands: command.commands.map((child) => ({ text: child.name(), description: child.description() })),
      options: [...own, { text: "--help", description: "display help", value: undefined }],
      argument: argumentOf(command),
    });
    for (const child of command.commands) visit(child, [...path, child.name()], own);
  };
  visit(root, [], []);
  return places;
}

function choiceOf(option: Option): Choice {
  const text = option.long ?? option.flags;
  const { description, argChoices } = option;
  const value = !option.required && !option.optional ? undefined : argChoices ?? kindOf(text, option.flags);
  return { text, description, value };
}

function argumentOf(command: Command): Kind {
  const [first] = command.registeredArguments;
  if (first === undefined) return "none";
  return first.argChoices ?? kindOf("", `<${first.name()}>`);
}

/** An option says by its name, or by that of its value, what it takes. */
function kindOf(long: string, flags: string): Kind {
  if (long === "--curve") return Object.keys(CURVES).concat("ed25519");
  if (PARTY.has(long)) return "party";
  if (PARTIES.has(long)) return "parties";
  if (/[<[](?:file|name=file)\b/.test(flags) || long === "--file") return "file";
  return /[<[]directory\b/.test(flags) ? "directory" : "none";
}

const PARTY = new Set(["--party", "--lost", "--from", "--signer"]);
const PARTIES = new Set(["--signers", "--helpers", "--with", "--parties", "--dealers"]);
/** Names of the parties, from the configuration that the line names. */
const NAMES = `sed -n 's/^name = "\\([^"]*\\)".*/\\1/p'`;

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function wordsOf(words: readonly { readonly text: string }[]): string {
  return words.map(({ text }) => text).join(" ");
}

/** `$1` is the words of the command, `$2` an option: prints what its value is. Without one: what an argument is. */
function kindsAsCase(places: readonly Place[]): string {
  const lines: string[] = [];
  for (const { path, options, argument } of places) {
    const add = (option: string, kind: Kind) =>
      lines.push(`    ${quoted(`${path}|${option}`)}) echo ${quoted(textOf(kind))} ;;\n`);
    if (argument !== "none") add("", argument);
    for (const { text, value } of options) if (value !== undefined) add(text, value);
  }
  return lines.join("");
}

function textOf(kind: Kind): string {
  return typeof kind === "string" ? `@${kind}` : kind.join(" ");
}

function bashScript(places: readonly Place[]): string {
  const commands = places.filter((place) => place.commands.length > 0)
    .map(({ path, commands }) => `    ${quoted(path)}) echo ${quoted(wordsOf(commands))} ;;\n`).join("");
  const options = places
    .map(({ path, options }) => `    ${quoted(path)}) echo ${quoted(wordsOf(options))} ;;\n`).join("");
  return `# bash completion for quorate

_quorate_commands() {
  case "$1" in
${commands}  esac
}

_quorate_options() {
  case "$1" in
${options}  esac
}

_quorate_kind() {
  case "$1|$2" in
${kindsAsCase(places)}  esac
}

_quorate() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" path="" config=quorate.toml option="" word kind i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    if [[ -n $option ]]; then
      [[ $option == --config ]] && config="$word"
      option=""
    elif [[ $word == -* ]]; then
      [[ -n $(_quorate_kind "$path" "$word") ]] && option="$word"
    elif [[ " $(_quorate_commands "$path") " == *" $word "* ]]; then
      path="\${path:+$path }$word"
    fi
  done
  local IFS=$' \\t\\n'
  if [[ -z $option && $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$(_quorate_options "$path")" -- "$cur"))
    return
  fi
  kind="$(_quorate_kind "$path" "$option")"
  [[ -z $option && -z $kind ]] && kind="$(_quorate_commands "$path")"
  case "$kind" in
    @none | "") ;;
    @file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
    @directory) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    @party) COMPREPLY=($(compgen -W "$(${NAMES} "$config" 2>/dev/null)" -- "$cur")) ;;
    @parties)
      word=""
      [[ $cur == *,* ]] && word="\${cur%,*},"
      COMPREPLY=($(compgen -P "$word" -W "$(${NAMES} "$config" 2>/dev/null)" -- "\${cur##*,}"))
      ;;
    *) COMPREPLY=($(compgen -W "$kind" -- "$cur")) ;;
  esac
}

complete -F _quorate quorate
`;
}

function zshScript(places: readonly Place[]): string {
  const described = (words: readonly Word[]) =>
    words.map(({ text, description }) => quoted(`${text.replaceAll(":", "\\:")}:${description}`)).join(" ");
  const commands = places.filter((place) => place.commands.length > 0)
    .map(({ path, commands }) => `    ${quoted(path)}) found=(${described(commands)}) ;;\n`).join("");
  const options = places
    .map(({ path, options }) => `    ${quoted(path)}) found=(${described(options)}) ;;\n`).join("");
  return `#compdef quorate

_quorate_commands() {
  case "$1" in
${commands}    *) found=() ;;
  esac
}

_quorate_options() {
  case "$1" in
${options}    *) found=() ;;
  esac
}

_quorate_kind() {
  case "$1|$2" in
${kindsAsCase(places)}  esac
}

_quorate() {
  emulate -L zsh
  local cur="\${words[CURRENT]}" at="" config=quorate.toml option="" word kind i
  local -a found names
  for ((i = 2; i < CURRENT; i++)); do
    word="\${words[i]}"
    if [[ -n $option ]]; then
      [[ $option == --config ]] && config="$word"
      option=""
    elif [[ $word == -* ]]; then
      [[ -n $(_quorate_kind "$at" "$word") ]] && option="$word"
    else
      _quorate_commands "$at"
      (( \${\${found[@]%%:*}[(Ie)$word]} )) && at="\${at:+$at }$word"
    fi
  done
  if [[ -z $option && $cur == -* ]]; then
    _quorate_options "$at"
    _describe option found
    return
  fi
  kind="$(_quorate_kind "$at" "$option")"
  if [[ -z $option && -z $kind ]]; then
    _quorate_commands "$at"
    (( $#found )) && _describe command found
    return
  fi
  names=(\${(f)"$(${NAMES} "$config" 2>/dev/null)"})
  case "$kind" in
    @none | "") ;;
    @file) _files ;;
    @directory) _files -/ ;;
    @party) compadd -a names ;;
    @parties) compset -P '*,'; compadd -q -S , -a names ;;
    *) compadd -- \${=kind} ;;
  esac
}

if [[ $funcstack[1] == _quorate ]]; then _quorate "$@"; else compdef _quorate quorate; fi
`;
}

function fishScript(places: readonly Place[]): string {
  const line = (path: string, rest: string) =>
    `complete -c quorate -n ${fishQuoted(`__quorate_at ${fishQuoted(path)}`)} ${rest}\n`;
  const lines = places.flatMap(({ path, commands, options, argument }) => [
    ...commands.map(({ text, description }) => line(path, `-f -a ${text} -d ${fishQuoted(description)}`)),
    ...(commands.length > 0 ? [] : [line(path, fishValue(argument, "-a"))]),
    ...options.map(({ text, description, value }) => {
      const rest = value === undefined ? "" : ` -r ${fishValue(value, "-a")}`;
      return line(path, `-l ${text.replace(/^--/, "")} -d ${fishQuoted(description)}${rest}`);
    }),
  ]);
  const paths = places.filter(({ path }) => path !== "").map(({ path }) => fishQuoted(path)).join(" ");
  const taking = [
    ...new Set(
      places.flatMap(({ options }) =>
        options.filter(({ value }) => value !== undefined).map(({ text }) => text)
      ),
    ),
  ];
  return `# fish completion for quorate

function __quorate_at
    set -l paths ${paths}
    set -l taking ${taking.join(" ")}
    set -l at ""
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip -eq 1
            set skip 0
        else if string match -q -- '-*' $word
            contains -- $word $taking; and set skip 1
        else if contains -- (string trim -- "$at $word") $paths
            set at (string trim -- "$at $word")
        end
    end
    test "$at" = "$argv[1]"
end

function __quorate_parties
    set -l config quorate.toml
    set -l words (commandline -opc)
    set -l i (contains -i -- --config $words); and set config $words[(math $i + 1)]
    ${NAMES} $config 2>/dev/null
end

${lines.join("")}`;
}

function fishValue(kind: Kind, words: string): string {
  if (typeof kind !== "string") return `-f ${words} ${fishQuoted(kind.join(" "))}`;
  switch (kind) {
    case "file":
      return "-F";
    case "directory":
      return `-f ${words} '(__fish_complete_directories)'`;
    case "party":
      return `-f ${words} '(__quorate_parties)'`;
    case "parties":
      return `-f ${words} '(__fish_complete_list , __quorate_parties)'`;
    case "none":
      return "-f";
  }
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
