// Start airflow-dag-run.pyz on a Python of this machine, for main.cjs and post.cjs.
//
// A cancel closes the standard input of Python, which then stops the DAG run. It is the same on
// every system: Windows has no signals between processes. If this process is killed, the pipe
// closes too, so Python never runs on by itself.
"use strict";

const { spawn, spawnSync } = require("node:child_process");
const { randomUUID } = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const nodePath = require("node:path");

const FILE = nodePath.join(__dirname, "airflow-dag-run.pyz");
const OLDEST = [3, 11];
// -I, -S: neither the workspace, nor the job's environment, nor packages beside Python decide which
// modules are imported. -u: -I ignores PYTHONUNBUFFERED. -B: nothing is written. utf8: Windows has
// code pages.
const FLAGS = ["-I", "-S", "-u", "-B", "-X", "utf8"];
// Milliseconds after a cancel. The runner kills this process after 10 s.
const KILL_AFTER = 9000;
const CHECK_TIMEOUT = 20000;
// The exit code with which Python says that the workflow may go on. Node reports 0 also for a
// process that a signal without a name ended (SIGRTMIN).
const PASSED = 10;
const PROBE = "import json, sys; print(json.dumps([sys.version_info[:2], sys.executable]))";

// What Python gets of the job's environment. The rest could make it load code of the workspace
// (LD_PRELOAD), or is none of its business.
const VARIABLES = new Set([
  ...["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "CI", "TZ"],
  ...["HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE"],
  ...["KRB5CCNAME", "KRB5_CONFIG", "KRB5_CLIENT_KTNAME"],
  ...["APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "SYSTEMDRIVE", "SYSTEMROOT", "USERNAME"],
  ...["USERPROFILE", "USERDOMAIN", "WINDIR"],
]);
const PREFIXES = ["ACTIONS_", "AWS_", "GITHUB_", "INPUT_", "RUNNER_", "STATE_"];

/** A failure with a title, the evidence and a hint. */
class LaunchError extends Error {
  constructor(title, detail, hint) {
    super(title);
    Object.assign(this, { title, detail, hint });
  }
}

/** The names and paths of one system; a parameter, so that tests can be about another. */
function system(platform = process.platform) {
  const windows = platform === "win32";
  return {
    windows,
    path: windows ? nodePath.win32 : nodePath.posix,
    names: windows ? ["python.exe", "python3.exe", "py.exe"] : ["python3", "python"],
    versioned: windows ? /^python3\.(\d+)\.exe$/i : /^python3\.(\d+)$/,
    usual: windows ? [] : ["/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"],
  };
}

/** A variable's value; its name has no case on Windows. */
function variable(env, name, { windows }) {
  if (!windows) return env[name] ?? "";
  const found = Object.keys(env).find((each) => each.toUpperCase() === name);
  return found === undefined ? "" : env[found];
}

/** Whether a path is in a folder, or is the folder. Paths of Windows have no case. */
function isInside(path, folder, { path: paths }) {
  if (!folder) return false;
  const rest = paths.relative(folder, path);
  return rest === "" || !(rest.split(paths.sep)[0] === ".." || paths.isAbsolute(rest));
}

/** The folders of PATH, without those that a pull request can write. */
function searchPath(env, workspace, on, real = (path) => path) {
  const folders = variable(env, "PATH", on)
    .split(on.path.delimiter)
    .map((folder) => folder.replace(/^"(.*)"$/, "$1"))
    .filter((folder) => on.path.isAbsolute(folder));
  const outside = (folder) =>
    ![folder, real(folder)].some((each) => isInside(each, workspace, on));
  return [...new Set(folders)].filter(outside);
}

/** The folders with the Pythons of the runner's tool cache, newest first. */
function toolCache(env, on, list = listed) {
  const root = variable(env, "RUNNER_TOOL_CACHE", on);
  if (!on.path.isAbsolute(root)) return [];
  const python = on.path.join(root, "Python");
  const numbers = (version) => version.split(".").map(Number);
  const versions = list(python)
    .filter((version) => /^\d+\.\d+\.\d+$/.test(version))
    .sort((one, other) => {
      const [a, b] = [numbers(one), numbers(other)];
      return b[0] - a[0] || b[1] - a[1] || b[2] - a[2];
    });
  return versions.flatMap((version) =>
    list(on.path.join(python, version))
      .filter((architecture) => !architecture.endsWith(".complete"))
      .map((architecture) =>
        on.path.join(python, version, architecture, ...(on.windows ? [] : ["bin"])),
      ),
  );
}

/** The names in a folder that a Python may have. */
function pythonNames(folder, on, list = listed) {
  // Enterprise Linux has an old python3, and newer ones only as python3.11, python3.12 and so on.
  const minor = (name) => Number(on.versioned.exec(name)?.[1]);
  const newer = list(folder).filter((name) => minor(name) >= OLDEST[1]);
  return [...on.names, ...newer.sort((one, other) => minor(other) - minor(one))];
}

/** The variable with which a Python finds its shared library beside itself. */
function libraryPath(realPython, workspace, on) {
  // setup-python's Pythons look for it in /opt/hostedtoolcache only, so setup-python sets this
  // variable on machines with another tool cache: https://github.com/actions/setup-python/issues/871
  const library = on.path.join(on.path.dirname(realPython), "..", "lib");
  const isThere = listed(library).some((name) => /^libpython3.*\.so/.test(name));
  return isThere && !isInside(realPath(library), workspace, on)
    ? { LD_LIBRARY_PATH: library }
    : {};
}

function listed(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

function realPath(path) {
  try {
    return fs.realpathSync.native(path);
  } catch {
    return path;
  }
}

function isFile(path) {
  try {
    return fs.statSync(path).isFile();
  } catch {
    return false;
  }
}

/** The environment of Python. */
function cleaned(env, folders, on) {
  const kept = Object.entries(env).filter(([name]) => {
    const upper = name.toUpperCase();
    return VARIABLES.has(upper) || PREFIXES.some((prefix) => upper.startsWith(prefix));
  });
  return { ...Object.fromEntries(kept), PATH: folders.join(on.path.delimiter) };
}

/** The first Python that is new enough; `looked` tells why others are not. */
function findPython(env, workspace, on) {
  const folders = searchPath(env, workspace, on, realPath);
  const cleanEnv = cleaned(env, folders, on);
  const looked = [];
  for (const folder of [...folders, ...toolCache(env, on), ...on.usual]) {
    for (const name of pythonNames(folder, on)) {
      const candidate = on.path.join(folder, name);
      if (!isFile(candidate)) continue;
      const real = realPath(candidate);
      if (isInside(real, workspace, on)) {
        looked.push(`${candidate}: in the workspace`);
        continue;
      }
      const childEnv = { ...cleanEnv, ...libraryPath(real, workspace, on) };
      const done = spawnSync(candidate, ["-I", "-S", "-c", PROBE], {
        cwd: nodePath.parse(process.execPath).root,
        env: childEnv,
        encoding: "utf8",
        timeout: CHECK_TIMEOUT,
        killSignal: "SIGKILL",
        windowsHide: true,
      });
      const [version, python] = parsed(done.stdout, on);
      if (!version) looked.push(`${candidate}: cannot be started`);
      else if (isInside(python, workspace, on))
        looked.push(`${python}: in the workspace`);
      else if (version[0] < OLDEST[0] || (version[0] === OLDEST[0] && version[1] < OLDEST[1]))
        looked.push(`${candidate}: ${version.join(".")}`);
      else return { python, childEnv };
    }
  }
  throw new LaunchError(
    "There is no Python 3.11 or later",
    looked.length ? `Found on this runner: ${looked.join("; ")}.` : "Found on this runner: none.",
    "Run actions/setup-python before this step, or install Python on the runner.",
  );
}

/** The version and the path that a Python prints; no version if a program prints anything else. */
function parsed(output, on) {
  try {
    const [version, python] = JSON.parse(output);
    if (version.every(Number.isInteger) && on.path.isAbsolute(python)) return [version, python];
  } catch {
    // It is not a Python.
  }
  return [null, ""];
}

/** The failure for an error of the system: `spawn` throws some, and emits others. */
function notStarted(error) {
  return new LaunchError(
    "Python cannot be started",
    `${error.message}.`,
    "Check the Python of this runner.",
  );
}

/** Report a failure of this launcher as the action reports its own. */
function report({ title, detail, hint }, env) {
  const escaped = (text) =>
    text.replace(/%/g, "%25").replace(/\r/g, "%0D").replace(/\n/g, "%0A");
  const property = (text) => escaped(text).replace(/:/g, "%3A").replace(/,/g, "%2C");
  process.stdout.write(`::error title=${property(title)}::${escaped(`${detail}\n${hint}`)}\n`);
  append(env.GITHUB_OUTPUT, "result", "error");
  append(env.GITHUB_OUTPUT, "runs", "[]");
  if (env.GITHUB_STEP_SUMMARY && !/^(false|False|FALSE)$/.test(env.INPUT_SUMMARY ?? ""))
    write(env.GITHUB_STEP_SUMMARY, `## ❌ ${title}\n\n${detail}\n\n**What to do next:** ${hint}\n`);
}

function append(file, name, value) {
  const delimiter = `ghadelimiter_${randomUUID()}`;
  if (file) write(file, `${name}<<${delimiter}\n${value}\n${delimiter}\n`);
}

function write(file, text) {
  try {
    fs.appendFileSync(file, text);
  } catch (error) {
    process.stdout.write(`${file}: ${error.code}\n`);
  }
}

/** Run a stage, main or post, and end this process with its exit code. */
function launch(stage) {
  let child = null;
  let killing = null;
  const cancel = () => {
    if (!child || killing) return;
    child.stdin.end();
    killing = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER);
  };
  // The post stage is the handling of a cancel, and ends by itself.
  const onSignal = stage === "main" ? cancel : () => {};
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"]) {
    try {
      process.on(name, onSignal);
    } catch {
      // This system does not have it.
    }
  }
  try {
    if (!isFile(FILE))
      throw new LaunchError(
        "This commit of the action has no airflow-dag-run.pyz",
        `There is no ${FILE}.`,
        "Use the commit of a release, or run `make file` in a checkout of the action.",
      );
    const on = system();
    const workspace = realPath(process.env.GITHUB_WORKSPACE || process.cwd());
    const { python, childEnv } = findPython(process.env, workspace, on);
    // Not detached and not hidden: on Windows both would cut Python off from the console, whose
    // Ctrl-C the runner sends.
    child = spawn(python, [...FLAGS, FILE, "--launched", stage], {
      env: childEnv,
      stdio: ["pipe", "inherit", "inherit"],
    });
  } catch (error) {
    report(error instanceof LaunchError ? error : notStarted(error), process.env);
    process.exitCode = 1;
    return;
  }
  child.stdin.on("error", () => {}); // Python has ended
  child.on("error", (error) => {
    report(notStarted(error), process.env);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal) process.exit(128 + os.constants.signals[signal]);
    process.exit(code === PASSED ? 0 : code || 1);
  });
}

module.exports = { cleaned, findPython, isInside, launch, searchPath, system, toolCache };
