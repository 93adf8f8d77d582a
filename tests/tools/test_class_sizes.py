# SPDX-License-Identifier: Apache-2.0
"""tools/class-sizes on samples: what it counts, what it leaves out, when it fails."""
import pathlib
import subprocess

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools/class-sizes"


@pytest.fixture
def sizes(tmp_path):
    def run(text, *options):
        file = tmp_path / "sample.h"
        file.write_text(text)
        return subprocess.run([TOOL, *options, file], capture_output=True, text=True, check=False)
    return run


def counted(sizes, text):
    """{class: (functions, members)}"""
    done = sizes(text, "--list")
    assert done.returncode == 0, done.stderr
    return {row[3]: (int(row[0]), int(row[1])) for row in map(str.split, done.stdout.splitlines())}


@pytest.mark.parametrize("declaration, functions, members", [
    ("void f();", 1, 0),
    ("[[nodiscard]] virtual const std::map<int, A>* f(int a = 1, B b = {}) const noexcept(true) = 0;", 1, 0),
    ("static Result<> f() { return {}; }", 1, 0),
    ("template <typename T, std::size_t n = (1 > 0)> auto f(T t) -> std::array<T, n> { return {t}; }", 1, 0),
    ("A(); explicit A(int x) : b_{x}, c_(x) { f(); } A(const A&) = delete; virtual ~A() = default;", 0, 0),
    ("bool operator==(const A&) const = default; int operator()(int i) const; explicit operator bool() const;", 0, 0),
    ("A& operator=(A&& other) noexcept { return *this; } auto operator<=>(const A&) const = default;", 0, 0),
    ("using X = int; typedef int Y; friend class B; friend int f(A); static_assert(sizeof(int) == 4); enum { x, y };", 0, 0),
    ("class B; struct C; enum class D : int { x, y };", 0, 0),
    ("std::map<std::string, std::vector<int>> a_; int b_ = 0, c_{2}; int d_[4] = {1, 2}, *e_;", 0, 5),
    ("alignas(64) std::atomic<int> a_{0}; unsigned b_ : 3; const char* c_ = \"}; int d;\"; char e_ = '{';", 0, 4),
    ("std::function<void(int, int)> a_ = [] { return g(1, 2); }; int (*b_)(int, A) = nullptr; R (A::*c_)(int);", 0, 3),
    ("decltype(f(1)) a_; std::map<int, int> b_ = std::map<int, int>{}; int c_ = 1 << 3;", 0, 3),
    ("static constexpr int a = 1; static int b;", 0, 0),
    ("union { int a; char b; }; struct { int x; } c_;", 0, 3),
    ("// void f();\n/* int a; */\n#define X(a) int a;\n#if 1\nint a_;\n#else\nint a_, b_;\n#endif\n", 0, 1),
    ("public: void f(); private: int a_;", 1, 1),
])
def test_counts(sizes, declaration, functions, members):
    assert counted(sizes, f"class A final : public B<int>, C {{\n{declaration}\n}};")["A"] == (functions, members)


def test_finds_classes(sizes):
    assert counted(sizes, """
        namespace a::b {
        inline namespace v1 { struct One { int x; }; }
        extern "C" { struct Two { int x; }; }
        namespace { class Three { struct Inner { int y; } inner_; void f(); }; }
        template <> struct hash<One> { void f(); };
        class Outer::Nested final : Base { void f(); };
        struct Forward;
        enum class Not { a, b };
        template <class NotEither> void f(NotEither);
        struct stat info {};
        Nor::Nor(int x) : x_{x}, y_(x) { struct Local { int z; }; }
        constexpr int kTable[] = {1, 2};
        }
        """) == {"One": (0, 1), "Two": (0, 1), "Three": (1, 1), "Three::Inner": (0, 1), "hash": (1, 0), "Outer::Nested": (1, 0)}


def many(n, form):
    return "\n".join(form.format(i) for i in range(n))


def test_limits_and_reasons(sizes):
    large = "class A {{\n{}\n}};".format(many(26, "void f{}();"))
    full = "class A {{ void f();\n{}\n}};".format(many(16, "int m{};"))
    for text in (large, full):
        assert sizes(text).returncode == 1
        assert sizes("// class-size:\n" + text).returncode == 1, "no reason is given"
        done = sizes("// A thing.\n// class-size: a codec for\n// every message.\n" + text)
        assert done.returncode == 0 and "a codec for" in done.stdout
        assert sizes("// class-size: a word.\n\n" + text).returncode == 1, "the reason is not above the class"
    assert sizes("class A {{\n{}\n}};".format(many(25, "void f{}();") + many(15, "int m{};"))).returncode == 0
    assert sizes("// class-size: none is needed\nclass A {};").returncode == 1
    assert sizes("// class-size: of no class\nint a;").returncode == 1


def test_a_record_may_have_any_number_of_members(sizes):
    members = many(40, "int m{};")
    assert sizes(f"struct A {{ A(); bool operator==(const A&) const = default;\n{members}\n}};").returncode == 0
    assert sizes(f"struct A {{ int sum() const;\n{members}\n}};").returncode == 1


def test_tables(sizes):
    out = sizes("class I { virtual void f() = 0; }; class A : I { void f() override; int x_; };", "--table").stdout
    interfaces, classes = out.split("\n\n")
    assert "| `I` |" in interfaces and "| `A` |" not in interfaces
    assert "| `A` |" in classes and "| 1 | 1 |" in classes
