//! The sandbox of programs: a Rhai engine with the parts of its library that reach nothing outside, and with limits of
//! operations, time, depth and sizes. A program sees `value`, `args` and `caller`. It has no clock, no randomness, no files
//! and no network.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rhai::{
    Array, Dynamic, Engine, EvalAltResult, ImmutableString, OptimizationLevel, Position, Scope,
    packages::{
        ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage,
        BasicMapPackage, BasicMathPackage, BasicStringPackage, LogicPackage, MoreStringPackage,
        Package as _,
    },
};
use tercet_types::limits::{PROGRAM_ANSWER_BYTES_MAX, STATE_VALUE_BYTES_MAX};

use super::{Program, json};

/// Operations of a program: about 10 ms of work.
const OPERATIONS_MAX: u64 = 100_000;
/// The time of a program: one operation on a large value may take long.
const TIME_MAX: Duration = Duration::from_millis(100);
/// Bytes of all texts in one value. A program that replaces each letter of such a text by another such text is stopped
/// before it does.
const STRING_BYTES_MAX: usize = 2 * STATE_VALUE_BYTES_MAX;
/// Elements of one list or map, nested ones counted.
const ELEMENTS_MAX: usize = 8_192;

/// The result of a program: the new value, and an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The new value; `None` when the program removed it.
    pub value: Option<String>,
    /// The answer, as JSON.
    pub answer: String,
}

/// Why a program gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", place(*line, *column))]
pub struct ProgramError {
    pub what: String,
    /// From 1 on; 0 when the error has no place.
    pub line: usize,
    pub column: usize,
    /// Whether the program reached a limit, and is not wrong otherwise.
    pub is_limit: bool,
}

fn place(line: usize, column: usize) -> String {
    match line {
        0 => String::new(),
        _ => format!("line {line}, column {column}: "),
    }
}

impl ProgramError {
    fn new(what: String, position: Position, is_limit: bool) -> ProgramError {
        ProgramError {
            what,
            line: position.line().unwrap_or(0),
            column: position.position().unwrap_or(0),
            is_limit,
        }
    }

    fn of(mut error: Box<EvalAltResult>) -> ProgramError {
        let mut inner = &*error;
        while let EvalAltResult::ErrorInFunctionCall(_, _, next, _) = inner {
            inner = next;
        }
        let is_limit = matches!(
            inner,
            EvalAltResult::ErrorTooManyOperations(_)
                | EvalAltResult::ErrorTooManyVariables(_)
                | EvalAltResult::ErrorStackOverflow(_)
                | EvalAltResult::ErrorDataTooLarge(..)
                | EvalAltResult::ErrorTerminated(..)
        );
        let what = match inner {
            EvalAltResult::ErrorRuntime(thrown, _) => format!("the program threw: {thrown}"),
            EvalAltResult::ErrorTerminated(..) => {
                format!("the program ran for more than {} ms", TIME_MAX.as_millis())
            }
            _ => String::new(),
        };
        let position = error.take_position();
        let what = match what.is_empty() {
            true => error.to_string(),
            false => what,
        };
        ProgramError::new(what, position, is_limit)
    }

    fn limit(what: String) -> ProgramError {
        ProgramError::new(what, Position::NONE, true)
    }
}

/// An engine for one thread.
pub(super) struct Sandbox {
    engine: Engine,
    begin: Instant,
    /// When the running program must end, microseconds after `begin`.
    until: Arc<AtomicU64>,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let mut engine = Engine::new_raw();
        // Not the package of the language's core: it has `sleep`.
        for module in [
            ArithmeticPackage::new().as_shared_module(),
            BasicStringPackage::new().as_shared_module(),
            BasicIteratorPackage::new().as_shared_module(),
            BasicFnPackage::new().as_shared_module(),
            LogicPackage::new().as_shared_module(),
            BasicMathPackage::new().as_shared_module(),
            BasicArrayPackage::new().as_shared_module(),
            BasicMapPackage::new().as_shared_module(),
            MoreStringPackage::new().as_shared_module(),
        ] {
            engine.register_global_module(module);
        }
        // The library's own would first make the text, and then see that it is too long.
        engine.register_fn("replace", replace);
        engine.register_fn(
            "replace",
            |text: &mut ImmutableString, from: char, to: &str| {
                replace(text, from.encode_utf8(&mut [0; 4]), to)
            },
        );
        engine
            .set_optimization_level(OptimizationLevel::None)
            .set_max_operations(OPERATIONS_MAX)
            .set_max_call_levels(16)
            .set_max_expr_depths(32, 16)
            .set_max_functions(16)
            .set_max_variables(64)
            .set_max_string_size(STRING_BYTES_MAX)
            .set_max_array_size(ELEMENTS_MAX)
            .set_max_map_size(ELEMENTS_MAX)
            .disable_symbol("eval")
            .on_print(|_| {})
            .on_debug(|_, _, _| {});
        let begin = Instant::now();
        let until = Arc::new(AtomicU64::new(u64::MAX));
        let ends = Arc::clone(&until);
        engine.on_progress(move |_| {
            let now = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
            (now > ends.load(Ordering::Relaxed)).then_some(Dynamic::UNIT)
        });
        Sandbox {
            engine,
            begin,
            until,
        }
    }

    /// Runs a program.
    ///
    /// # Errors
    /// When the program is wrong, throws, or reaches a limit.
    pub fn run(&self, program: &Program) -> Result<Run, ProgramError> {
        let mut scope = Scope::new();
        let value = program.value.as_deref().map_or(Dynamic::UNIT, json::read);
        let arguments = program.arguments.iter().map(|text| json::read(text));
        scope.push_dynamic("value", value);
        scope.push_constant("args", arguments.collect::<Array>());
        scope.push_constant("caller", program.caller.clone());
        let parsed = self.engine.compile(&program.text);
        let parsed = parsed.map_err(|error| ProgramError::of(error.into()))?;
        let ends = self.begin.elapsed() + TIME_MAX;
        let ends = u64::try_from(ends.as_micros()).unwrap_or(u64::MAX);
        self.until.store(ends, Ordering::Relaxed);
        let answer = self
            .engine
            .eval_ast_with_scope::<Dynamic>(&mut scope, &parsed)
            .map_err(ProgramError::of)?;

        let failed = |what| ProgramError::new(what, Position::NONE, false);
        let value = scope.get("value").cloned().unwrap_or_default();
        let answer = match answer.is_unit() {
            true => &value,
            false => &answer,
        };
        let answer = json::answer(answer).map_err(failed)?.to_string();
        let value = json::write(&value).map_err(failed)?;
        if value
            .as_ref()
            .is_some_and(|value| value.len() > STATE_VALUE_BYTES_MAX)
        {
            let what = format!("the new value has more than {STATE_VALUE_BYTES_MAX} bytes");
            return Err(ProgramError::limit(what));
        }
        if answer.len() > PROGRAM_ANSWER_BYTES_MAX {
            let what = format!(
                "the answer has more than {PROGRAM_ANSWER_BYTES_MAX} bytes; end the program with a shorter one"
            );
            return Err(ProgramError::limit(what));
        }
        Ok(Run { value, answer })
    }
}

/// Replaces all `from` in a text.
fn replace(text: &mut ImmutableString, from: &str, to: &str) -> Result<(), Box<EvalAltResult>> {
    let count = text.matches(from).count();
    let bytes = text.len() + count.saturating_mul(to.len());
    if bytes > STRING_BYTES_MAX + count * from.len() {
        let too_large = EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE);
        return Err(too_large.into());
    }
    *text = text.replace(from, to).into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_with(text: &str, value: Option<&str>, arguments: &[&str]) -> Result<Run, ProgramError> {
        let program = Program {
            text: text.into(),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            caller: "ann".into(),
            value: value.map(str::to_owned),
        };
        Sandbox::new().run(&program)
    }

    fn run(text: &str, value: Option<&str>, arguments: &[&str]) -> (Option<String>, String) {
        let run =
            run_with(text, value, arguments).unwrap_or_else(|error| panic!("{text}: {error}"));
        (run.value, run.answer)
    }

    fn gives(value: &str, answer: &str) -> (Option<String>, String) {
        (Some(value.to_owned()), answer.to_owned())
    }

    #[test]
    fn a_program_makes_a_value_and_an_answer() {
        let count = "value = (value ?? 0) + 1";
        assert_eq!(run(count, None, &[]), gives("1", "1"));
        assert_eq!(run(count, Some("41"), &[]), gives("42", "42"));
        let add = "value = (value ?? 0) + args[0]; `${caller}: ${value}`";
        assert_eq!(run(add, Some("40"), &["2"]), gives("42", "\"ann: 42\""));
        let vote = "if value == () { value = #{} } value[caller] = args[0]; value.len()";
        assert_eq!(run(vote, None, &["tea"]), gives(r#"{"ann":"tea"}"#, "1"));
        let voted = gives(r#"{"ann":"tea","bob":"milk"}"#, "2");
        assert_eq!(
            run(vote, Some(r#"{"ann":"milk","bob":"milk"}"#), &["tea"]),
            voted
        );
        let push = "if value == () { value = [] } value.push(args[0])";
        assert_eq!(
            run(push, Some("[1]"), &["x"]),
            gives(r#"[1,"x"]"#, r#"[1,"x"]"#)
        );
        assert_eq!(
            run("value.remove(0)", Some("[7,8]"), &[]),
            gives("[8]", "7")
        );
        assert_eq!(run("value = ()", Some("1"), &[]), (None, "null".into()));
        assert_eq!(run("value * 1.5", Some("3"), &[]), gives("3", "4.5"));
    }

    #[test]
    fn a_value_that_a_program_does_not_touch_stays_as_it_is_read() {
        for text in [
            "1",
            "1.5",
            "\"5\"",
            "no JSON",
            "",
            "[1,{\"a\":null}]",
            "true",
        ] {
            let (value, _) = run("1", Some(text), &[]);
            assert_eq!(value.as_deref(), Some(text));
        }
        // JSON is written in one form, and null is no value.
        assert_eq!(run("1", Some("[ 1 ]"), &[]).0.as_deref(), Some("[1]"));
        assert_eq!(run("1", Some("null"), &[]).0, None);
        assert_eq!(run("value = \"5\"", None, &[]).0.as_deref(), Some("\"5\""));
        assert_eq!(
            run("value = \"five\"", None, &[]).0.as_deref(),
            Some("five")
        );
    }

    #[test]
    fn what_is_wrong_has_a_line_and_a_column() {
        let error = run_with("value = 1;\nvalue = = 2", None, &[]).unwrap_err();
        assert_eq!(
            (error.line, error.column, error.is_limit),
            (2, 9, false),
            "{error}"
        );
        let error = run_with("let a = 1;\n  a + nothing", None, &[]).unwrap_err();
        assert_eq!((error.line, error.is_limit), (2, false), "{error}");
        let error = run_with("throw \"sold out\"", None, &[]).unwrap_err();
        assert!(
            error.to_string().contains("the program threw: sold out"),
            "{error}"
        );
        assert!(
            run_with("value = || 1", None, &[]).is_err(),
            "a function has no JSON"
        );
        assert!(
            run_with("value = 0.0 / 0.0", None, &[]).is_err(),
            "NaN has no JSON"
        );
        assert!(run_with("value = 9223372036854775807 + 1", None, &[]).is_err());
        assert!(run_with("1 / 0", None, &[]).is_err());
    }

    #[test]
    fn a_program_reaches_nothing_outside() {
        for text in [
            "sleep(1)",
            "sleep(1.0)",
            "timestamp()",
            "eval(\"1\")",
            "import \"x\" as x; 1",
            "open(\"x\")",
            "rand()",
            "blob(10)",
            "exit()",
            "args = []",
            "caller = \"bob\"",
        ] {
            assert!(run_with(text, None, &[]).is_err(), "{text}");
        }
        assert_eq!(run("print(\"x\"); debug(1); 1", None, &[]).1, "1");
    }

    #[test]
    fn a_runaway_program_is_stopped_at_a_limit() {
        let text = "x".repeat(STATE_VALUE_BYTES_MAX);
        let deep = format!("value = {}1{}", "(".repeat(200), ")".repeat(200));
        for program in [
            "loop {}",
            "fn f(n) { f(n + 1) } f(0)",
            "let s = \"x\"; loop { s += s }",
            "let a = [1]; loop { a += a }",
            "let a = []; loop { a.push(a) }",
            "let m = #{}; let i = 0; loop { m[`${i}`] = m; i += 1 }",
            "value.replace(\"x\", value); value.replace(\"x\", value)",
            "value.replace('x', value)",
            "let s = \"x\"; s.pad(1000000000, 'x')",
            "let a = []; a.pad(1000000000, 1)",
            "value += value; value",
            "value = []; for i in 0..8000 { value.push(1000000) }",
            "let a = []; for i in 0..8000 { a.push(i) } loop { a.sort(|x, y| y - x) }",
            "for i in 0..100 { let a = []; for j in 0..900 { a.push(j) } a.sort() }",
        ] {
            let begin = Instant::now();
            let error = run_with(program, Some(&text), &[]).expect_err(program);
            assert!(error.is_limit, "{program}: {error}");
            println!("{:.1?}: {program}: {error}", begin.elapsed());
        }
        assert!(run_with(&deep, None, &[]).is_err());
    }

    /// Prints what runs cost; the notebook has the numbers of a release build.
    #[test]
    #[ignore = "a measurement"]
    fn costs() {
        let begin = Instant::now();
        let sandbox = Sandbox::new();
        println!("{:.1?}: an engine", begin.elapsed());
        let votes: Vec<String> = (0..400)
            .map(|n| format!("\"account{n}\":\"green tea\""))
            .collect();
        let votes = format!("{{{}}}", votes.join(","));
        for (text, value) in [
            ("value = (value ?? 0) + 1", "41"),
            ("value[caller] = \"oolong\"; value.len()", &votes),
        ] {
            let program = Program {
                text: text.into(),
                arguments: Vec::new(),
                caller: "ann".into(),
                value: Some(value.to_owned()),
            };
            let begin = Instant::now();
            for _ in 0..1_000 {
                sandbox.run(&program).unwrap();
            }
            println!("{:.1?}: {text}", begin.elapsed() / 1_000);
        }
    }
}
