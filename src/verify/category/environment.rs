//! From output to whether the machine lacks a command, a variable, a server, room or a right. Knows
//! nothing of the machine itself.

use super::missing::is_warning;

/// Signs that say it alone, wherever they stand in a line.
const ANYWHERE: [&str; 37] = [
    ": command not found",
    "command not found: ",
    "executable file not found in $PATH",
    "executable file not found in %PATH%",
    "error: no such command: `",
    "error: linker `",
    "pkg-config command could not be found",
    "The system library `",
    "cannot open shared object file",
    "could not download nonexistent rust version",
    "No such built-in module: node:",
    "JAVA_HOME is set to an invalid directory",
    "JAVA_HOME environment variable is not defined correctly",
    "invalid target release: ",
    "error: release version ",
    "Unsupported class file major version",
    "environment variable not found",
    "not defined at compile time",
    "No space left on device",
    "no space left on device",
    "Disk quota exceeded",
    "Read-only file system",
    "Too many open files",
    "Cannot allocate memory",
    "Exec format error",
    "bad interpreter: ",
    "address already in use",
    "Address already in use",
    "Could not resolve host",
    "Temporary failure in name resolution",
    "getaddrinfo EAI_AGAIN",
    "getaddrinfo ENOTFOUND",
    "Unknown host ",
    "Cannot connect to the Docker daemon",
    "Is the docker daemon running",
    "Can't connect to MySQL server",
    "Can't connect to local MySQL server",
];

/// Databases and brokers, by the names their clients say and by their ports.
const DATABASES: [&str; 18] = [
    "postgres",
    "psycopg",
    "mysql",
    "mariadb",
    "redis",
    "mongo",
    "sqlstate",
    "sqlalchemy",
    "jdbc",
    "sqlx",
    "diesel",
    "database",
    "rabbitmq",
    "amqp",
    "kafka",
    "cassandra",
    "elasticsearch",
    "memcached",
];
const PORTS: [&str; 11] =
    ["5432", "3306", "6379", "27017", "1433", "1521", "5672", "9042", "9092", "9200", "11211"];

/// How the names of variables end that only an environment holds.
const VARIABLE_ENDS: [&str; 15] = [
    "_URL",
    "_URI",
    "_DSN",
    "_HOST",
    "_PORT",
    "_USER",
    "_PASSWORD",
    "_TOKEN",
    "_SECRET",
    "_KEY",
    "_PATH",
    "_DIR",
    "_HOME",
    "_ENV",
    "_REGION",
];

/// Whether some line says that the machine lacks what the command needs.
pub fn lacks_something(output: &str) -> bool {
    let asks_environment =
        ["os.environ", "environ[", "environ({", "<frozen os>", "ENV.fetch", "ENV["]
            .iter()
            .any(|sign| output.contains(sign));
    // Python tells of a command that it cannot start as of a file.
    let starts_process = output.contains("_execute_child");
    let mut lines = output.lines().map(str::trim);
    lines.any(|line| {
        ANYWHERE.iter().any(|sign| line.contains(sign))
            || lacks_command(line, starts_process)
            || lacks_variable(line, asks_environment)
    }) || database_refused(output)
}

fn lacks_command(line: &str, starts_process: bool) -> bool {
    let shells = ["sh: ", "bash: ", "dash: ", "zsh: ", "ksh: ", "/bin/sh: ", "/bin/bash: "];
    let from_shell = shells.iter().any(|shell| line.starts_with(shell)) || line.contains(": line ");
    if from_shell && (line.ends_with(": not found") || line.ends_with(": Permission denied")) {
        return true;
    }
    let no_file = line.ends_with(": No such file or directory");
    if no_file && ["make: ", "/usr/bin/env: ", "env: "].iter().any(|s| line.starts_with(s)) {
        return true;
    }
    if line.starts_with("make") && (line.ends_with(" Error 127") || line.ends_with(" Error 126")) {
        return true;
    }
    // yarn and pnpm.
    if line.contains("Command \"") && line.trim_end_matches('.').ends_with("\" not found") {
        return true;
    }
    let spawned = line.contains("spawn ") && (line.contains(" ENOENT") || line.contains(" EACCES"));
    let python = ["FileNotFoundError: [Errno 2]", "PermissionError: [Errno 13]"];
    spawned || (starts_process && python.iter().any(|sign| line.contains(sign)))
}

fn lacks_variable(line: &str, asks_environment: bool) -> bool {
    let keys = ["KeyError: '", "KeyError: \"", "key not found: \""];
    let key = keys.iter().find_map(|sign| line.split_once(sign)).map(|(_, rest)| rest);
    if let Some(name) = key.and_then(|rest| rest.split(['\'', '"']).next()) {
        let known = VARIABLE_ENDS.iter().any(|end| name.ends_with(end));
        return is_variable(name) && (known || asks_environment);
    }
    // Rust's error for an unset variable.
    if line.ends_with(": NotPresent") {
        return true;
    }
    let unset = [
        ": parameter not set",
        ": parameter null or not set",
        ": parameter not set or null",
        ": unbound variable",
    ];
    if let Some(before) = unset.iter().find_map(|end| line.strip_suffix(end)) {
        return before.rsplit([' ', ':']).next().is_some_and(is_variable);
    }
    if is_warning(line) && !line.contains("PHP ") {
        return false;
    }
    let line = line.to_ascii_lowercase();
    let lacks = [
        "not set",
        "missing",
        "required",
        "not defined",
        "undefined",
        "unset",
        "must be set",
        "not found",
        "not present",
        "is empty",
    ];
    (line.contains("environment variable") || line.contains("env var "))
        && lacks.iter().any(|word| line.contains(word))
}

/// Whether `name` is written as variables of an environment are.
fn is_variable(name: &str) -> bool {
    let word = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.len() > 1 && name.chars().all(word) && name.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Whether a connection was refused and it was one to a database: any other server may be the work
/// itself, which did not start.
fn database_refused(output: &str) -> bool {
    let text = output.to_ascii_lowercase();
    let refused = ["connection refused", "econnrefused", "connectionrefused"];
    if !refused.iter().any(|sign| text.contains(sign)) {
        return false;
    }
    let number = |word: &str| PORTS.contains(&word);
    DATABASES.iter().any(|name| text.contains(name))
        || text.split(|c: char| !c.is_ascii_alphanumeric()).any(number)
}
