using System.Runtime.CompilerServices;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>
/// Jinja decides at compile time which scope a name belongs to. What rendering must know of that: the names that a scope sets
/// without condition before it reads them, and that no outer scope knows, are undefined until set, even if the input has them.
/// Unknown filters and tests are found here too.
/// </summary>
internal sealed class ScopeAnalysis
{
    private readonly ScopeAnalysis? _parent;
    private readonly HashSet<string> _known = new(StringComparer.Ordinal);
    private readonly List<string> _startsUndefined = [];
    private readonly List<Action> _inner = [];
    private readonly bool _isInLoop;

    private ScopeAnalysis(ScopeAnalysis? parent, bool isInLoop)
    {
        _parent = parent;
        _isInLoop = isInLoop;
    }

    public static Body Run(Body template)
    {
        try
        {
            Analyze(template, new ScopeAnalysis(null, isInLoop: false));
            return template;
        }
        catch (InsufficientExecutionStackException)
        {
            throw Errors.Syntax("The template nests too deeply.", 1);
        }
    }

    private static void Analyze(Body body, ScopeAnalysis scope, params IEnumerable<Node?> first)
    {
        foreach (var node in first.OfType<Node>().Concat(body.Statements))
        {
            scope.Visit(node, inBranch: false, isSoft: false);
        }

        body.StartsUndefined = [.. scope._startsUndefined];
        foreach (var inner in scope._inner)
        {
            inner();
        }
    }

    private bool IsKnown(string name) => _known.Contains(name) || (_parent?.IsKnown(name) ?? false);

    private void Store(string name, bool inBranch)
    {
        if (!inBranch && !IsKnown(name))
        {
            _startsUndefined.Add(name);
        }

        _known.Add(name);
    }

    private void Parameters(Node target)
    {
        if (target is Name name)
        {
            _known.Add(name.Id);
        }

        foreach (var child in target.Children)
        {
            Parameters(child);
        }
    }

    private void Visit(Node node, bool inBranch, bool isSoft)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        switch (node)
        {
            case Name name when name.IsTarget:
                CheckLoopTarget(name, _isInLoop);
                Store(name.Id, inBranch);
                break;
            case Name name:
                _known.Add(name.Id);
                break;
            case NamespaceTarget target:
                _known.Add(target.Id);
                break;
            case If branches:
                Visit(branches.Branches[0].Test, inBranch, isSoft: true);
                foreach (var child in branches.Children.Skip(1))
                {
                    Visit(child, inBranch: true, isSoft: true);
                }

                break;
            case Assign assign:
                Visit(assign.Value, inBranch, isSoft);
                Visit(assign.Target, inBranch, isSoft);
                break;
            case AssignBlock block:
                Visit(block.Target, inBranch, isSoft);
                Inner(block.Body, null, block.Filter);
                break;
            case For loop:
                Visit(loop.Iterable, inBranch, isSoft);
                VisitLoop(loop);
                break;
            case MacroNode macro:
                if (macro.Name is not null)
                {
                    Store(macro.Name, inBranch);
                }

                VisitMacro(macro);
                break;
            case CallBlock block:
                Visit(block.Call, inBranch, isSoft);
                VisitMacro(block.Caller);
                break;
            case FilterBlock block:
                Visit(block.Filter, inBranch, isSoft);
                Inner(block.Body, null);
                break;
            case With with:
                foreach (var (_, value) in with.Bindings)
                {
                    Visit(value, inBranch, isSoft);
                }

                Inner(with.Body, scope => with.Bindings.ForEach(binding => scope.Parameters(binding.Target)));
                break;
            case BlockNode block:
                Inner(block.Body, null, block.Escape);
                break;
            case Generation generation:
                Inner(generation.Body, null);
                break;
            case Conditional:
                VisitChildren(node, inBranch, isSoft: true);
                break;
            case FilterNode filter when !isSoft && !Filters.All.ContainsKey(filter.Name):
                throw Errors.Assertion($"No filter named '{filter.Name}'.", filter.Line);
            case TestNode test when !isSoft && !Tests.All.ContainsKey(test.Name):
                throw Errors.Assertion($"No test named '{test.Name}'.", test.Line);
            default:
                VisitChildren(node, inBranch, isSoft);
                break;
        }
    }

    private void VisitChildren(Node node, bool inBranch, bool isSoft)
    {
        foreach (var child in node.Children)
        {
            Visit(child, inBranch, isSoft);
        }
    }

    private void VisitLoop(For loop)
    {
        CheckLoopTarget(loop.Target, isInLoop: true);
        void Declare(ScopeAnalysis scope) => scope.Parameters(loop.Target);
        InnerLoop(loop.Body, scope =>
        {
            Declare(scope);
            scope._known.Add("loop");
        });
        if (loop.Test is not null)
        {
            InnerLoop(new Body([loop.Test]), Declare);
        }

        if (loop.Otherwise is not null)
        {
            InnerLoop(loop.Otherwise, null);
        }
    }

    private void VisitMacro(MacroNode macro)
    {
        var free = FreeNames(macro.Body.Statements, ["caller", "kwargs", "varargs"]);
        var explicitCaller = macro.Parameters.FindIndex(parameter => parameter.Id == "caller");
        macro.TakesCaller = free.Contains("caller");
        if (macro.TakesCaller && explicitCaller >= 0 && explicitCaller < macro.Parameters.Count - macro.Defaults.Count)
        {
            throw Errors.Assertion(
                "When defining macros or call blocks the special \"caller\" argument must be omitted or be given a default.", macro.Line);
        }

        macro.TakesKeywords = free.Contains("kwargs") && !macro.Parameters.Exists(parameter => parameter.Id == "kwargs");
        macro.TakesPositional = free.Contains("varargs") && !macro.Parameters.Exists(parameter => parameter.Id == "varargs");
        Inner(
            macro.Body,
            scope =>
            {
                macro.Parameters.ForEach(scope.Parameters);
                scope._known.UnionWith(free);
            },
            [.. macro.Defaults]);
    }

    private void Inner(Body body, Action<ScopeAnalysis>? declare, params Node?[] first) => AddInner(body, declare, _isInLoop, first);

    private void InnerLoop(Body body, Action<ScopeAnalysis>? declare) => AddInner(body, declare, isInLoop: true, []);

    /// <summary>Inner scopes come once this one is complete: what is set later is known to them too.</summary>
    private void AddInner(Body body, Action<ScopeAnalysis>? declare, bool isInLoop, Node?[] first) => _inner.Add(() =>
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        var scope = new ScopeAnalysis(this, isInLoop);
        declare?.Invoke(scope);
        Analyze(body, scope, first);
    });

    private static void CheckLoopTarget(Node target, bool isInLoop)
    {
        if (isInLoop && target is Name { Id: "loop" })
        {
            throw Errors.Assertion("Can't assign to special loop variable in for-loop target", target.Line);
        }

        foreach (var child in target.Children)
        {
            CheckLoopTarget(child, isInLoop);
        }
    }

    /// <summary>Which of the names are read before they are set.</summary>
    private static HashSet<string> FreeNames(IEnumerable<Node> nodes, HashSet<string> names)
    {
        var free = new HashSet<string>(StringComparer.Ordinal);
        foreach (var node in nodes)
        {
            FindFreeNames(node, names, free);
        }

        return free;
    }

    private static void FindFreeNames(Node node, HashSet<string> names, HashSet<string> free)
    {
        RuntimeHelpers.EnsureSufficientExecutionStack();
        if (node is Name name)
        {
            if (name.IsTarget)
            {
                names.Remove(name.Id);
            }
            else if (names.Contains(name.Id))
            {
                free.Add(name.Id);
            }
        }

        if (node is BlockNode { Name: not null })
        {
            return;
        }

        foreach (var child in node.Children)
        {
            FindFreeNames(child, names, free);
        }
    }
}
