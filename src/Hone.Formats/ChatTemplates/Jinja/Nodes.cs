namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>A node of a parsed template. <see cref="Line"/> counts from 1.</summary>
internal abstract class Node(int line)
{
    public int Line { get; } = line;

    /// <summary>Child nodes in the order their names come into scope.</summary>
    public virtual IEnumerable<Node> Children => [];
}

/// <summary>A node with a scope of its own: <see cref="StartsUndefined"/> names hide outer variables until they are set.</summary>
internal sealed class Body(List<Node> statements)
{
    public List<Node> Statements { get; } = statements;

    public string[] StartsUndefined { get; set; } = [];
}

internal sealed class Output(List<Node> parts, int line) : Node(line)
{
    public List<Node> Parts { get; } = parts;

    public override IEnumerable<Node> Children => Parts;
}

internal sealed class TemplateData(string text, int line) : Node(line)
{
    public string Text { get; } = text;
}

internal sealed class For(Node target, Node iterable, Node? test, bool isRecursive, Body body, Body? otherwise, int line) : Node(line)
{
    public Node Target { get; } = target;

    public Node Iterable { get; } = iterable;

    public Node? Test { get; } = test;

    public bool IsRecursive { get; } = isRecursive;

    public Body Body { get; } = body;

    public Body? Otherwise { get; } = otherwise;

    public override IEnumerable<Node> Children =>
        [Target, Iterable, .. Body.Statements, .. Otherwise?.Statements ?? [], .. Test is null ? Array.Empty<Node>() : [Test]];
}

internal sealed class If(List<(Node Test, List<Node> Statements)> branches, List<Node> otherwise, int line) : Node(line)
{
    public List<(Node Test, List<Node> Statements)> Branches { get; } = branches;

    public List<Node> Otherwise { get; } = otherwise;

    public override IEnumerable<Node> Children => [.. Branches.SelectMany(branch => branch.Statements.Prepend(branch.Test)), .. Otherwise];
}

/// <summary>A macro, or with <see cref="Name"/> null the body of a call block.</summary>
internal sealed class MacroNode(string? name, List<Name> parameters, List<Node> defaults, Body body, int line) : Node(line)
{
    public string? Name { get; } = name;

    public List<Name> Parameters { get; } = parameters;

    /// <summary>Defaults of the last parameters.</summary>
    public List<Node> Defaults { get; } = defaults;

    public Body Body { get; } = body;

    public bool TakesCaller { get; set; }

    public bool TakesKeywords { get; set; }

    public bool TakesPositional { get; set; }

    public override IEnumerable<Node> Children => [.. Parameters, .. Defaults, .. Body.Statements];
}

internal sealed class CallBlock(CallNode call, MacroNode caller, int line) : Node(line)
{
    public CallNode Call { get; } = call;

    public MacroNode Caller { get; } = caller;

    public override IEnumerable<Node> Children => [Call, Caller];
}

internal sealed class FilterBlock(FilterNode filter, Body body, int line) : Node(line)
{
    public FilterNode Filter { get; } = filter;

    public Body Body { get; } = body;

    public override IEnumerable<Node> Children => [.. Body.Statements, Filter];
}

internal sealed class With(List<(Node Target, Node Value)> bindings, Body body, int line) : Node(line)
{
    public List<(Node Target, Node Value)> Bindings { get; } = bindings;

    public Body Body { get; } = body;

    public override IEnumerable<Node> Children => [.. Bindings.Select(pair => pair.Target), .. Bindings.Select(pair => pair.Value), .. Body.Statements];
}

internal sealed class Assign(Node target, Node value, int line) : Node(line)
{
    public Node Target { get; } = target;

    public Node Value { get; } = value;

    public override IEnumerable<Node> Children => [Target, Value];
}

internal sealed class AssignBlock(Node target, FilterNode? filter, Body body, int line) : Node(line)
{
    public Node Target { get; } = target;

    public FilterNode? Filter { get; } = filter;

    public Body Body { get; } = body;

    public override IEnumerable<Node> Children => [Target, .. Filter is null ? Array.Empty<Node>() : [Filter], .. Body.Statements];
}

/// <summary>A named block (without inheritance: it renders in place) or, with <see cref="Name"/> null, <c>{% autoescape false %}</c>.</summary>
internal sealed class BlockNode(string? name, bool isScoped, Node? escape, Body body, int line) : Node(line)
{
    public string? Name { get; } = name;

    public bool IsScoped { get; } = isScoped;

    public Node? Escape { get; } = escape;

    public Body Body { get; } = body;

    public override IEnumerable<Node> Children => [.. Escape is null ? Array.Empty<Node>() : [Escape], .. Body.Statements];
}

/// <summary><c>{% generation %}</c>: the text an assistant writes.</summary>
internal sealed class Generation(Body body, int line) : Node(line)
{
    public Body Body { get; } = body;

    public override IEnumerable<Node> Children => Body.Statements;
}

/// <summary><c>include</c>, <c>import</c>, <c>extends</c>: there is nothing to load from.</summary>
internal sealed class Load(Node template, List<string> names, int line) : Node(line)
{
    public Node Template { get; } = template;

    public List<string> Names { get; } = names;

    public override IEnumerable<Node> Children => [Template];
}

internal sealed class LoopJump(bool isBreak, int line) : Node(line)
{
    public bool IsBreak { get; } = isBreak;
}
