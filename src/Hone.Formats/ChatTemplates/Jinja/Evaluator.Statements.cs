namespace Hone.Formats.ChatTemplates.Jinja;

internal sealed partial class Evaluator
{
    private Jump Run(List<Node> statements)
    {
        foreach (var statement in statements)
        {
            var jump = Run(statement);
            if (jump != Jump.None)
            {
                return jump;
            }
        }

        return Jump.None;
    }

    private Jump Run(Node statement)
    {
        Budget.Enter();
        Budget.Spend(1);
        _here = statement;
        var jump = Jump.None;
        switch (statement)
        {
            case Output output:
                foreach (var part in output.Parts)
                {
                    Write(part is TemplateData data ? data.Text : Str(Evaluate(part)));
                }

                break;
            case If branches:
                jump = RunIf(branches);
                break;
            case For loop:
                RunFor(loop);
                break;
            case Assign assign:
                CheckNamespaces(assign.Target);
                Bind(assign.Target, Evaluate(assign.Value), _scope);
                break;
            case AssignBlock block:
                jump = RunAssignBlock(block);
                break;
            case MacroNode macro:
                _scope.Set(macro.Name!, new Macro(macro, _scope));
                break;
            case CallBlock block:
                Write(Str(Call(block.Call, new Macro(block.Caller, _scope))));
                break;
            case FilterBlock block:
                jump = RunFilterBlock(block);
                break;
            case With with:
                jump = RunWith(with);
                break;
            case BlockNode block:
                jump = RunBlock(block);
                break;
            case Generation generation:
                RunGeneration(generation);
                break;
            case Load load:
                Evaluate(load.Template);
                throw Errors.Type("no loader for this environment specified");
            case LoopJump loopJump:
                jump = loopJump.IsBreak ? Jump.Break : Jump.Continue;
                break;
            default:
                throw new InvalidOperationException($"No such statement: {statement.GetType().Name}");
        }

        Budget.Leave();
        return jump;
    }

    private Jump RunIf(If branches)
    {
        foreach (var (test, statements) in branches.Branches)
        {
            if (PyType.IsTrue(Evaluate(test)))
            {
                return Run(statements);
            }
        }

        return Run(branches.Otherwise);
    }

    private void RunFor(For loop)
    {
        var iterable = Evaluate(loop.Iterable);
        if (!loop.IsRecursive)
        {
            RunLoop(loop, iterable, _scope, null, 0);
            return;
        }

        var outer = _scope;
        object? Recurse(object? items, long depth) => Capture(() => RunLoop(loop, items, outer, Recurse, depth));
        Write((string)Recurse(iterable, 0)!);
    }

    private void RunLoop(For loop, object? iterable, Scope outer, Func<object?, long, object?>? recurse, long depth)
    {
        var items = Iterate(iterable);
        if (loop.Test is not null)
        {
            items = items.Where(item => Passes(loop, item, outer));
            iterable = null;
        }

        var context = new LoopContext(iterable is null ? Missing.Value : iterable, items, recurse, depth);
        var isComplete = false;
        while (context.MoveNext(out var item))
        {
            // A fresh scope each time: what the body sets is gone in the next round.
            Budget.Spend(4);
            var scope = outer.Inner(loop.Body);
            scope.Set("loop", context);
            Bind(loop.Target, item, scope);
            var jump = RunInner(loop.Body, scope);
            isComplete |= jump == Jump.None;
            if (jump == Jump.Break)
            {
                break;
            }
        }

        // Jinja skips the else part only after a body that ran to its end.
        if (loop.Otherwise is not null && !isComplete)
        {
            RunInner(loop.Otherwise, outer.Inner(loop.Otherwise));
        }
    }

    private bool Passes(For loop, object? item, Scope outer)
    {
        var scope = new Scope(outer);
        Bind(loop.Target, item, scope);
        var current = _scope;
        _scope = scope;
        try
        {
            return PyType.IsTrue(Evaluate(loop.Test!));
        }
        finally
        {
            _scope = current;
        }
    }

    private Jump RunFilterBlock(FilterBlock block)
    {
        var jump = Jump.None;
        var text = Capture(() => jump = RunInner(block.Body, _scope.Inner(block.Body)));
        if (jump == Jump.None)
        {
            Write(Str(ApplyFilters(block.Filter, text)));
        }

        return jump;
    }

    private Jump RunAssignBlock(AssignBlock block)
    {
        var jump = Jump.None;
        object? value = Capture(() => jump = RunInner(block.Body, _scope.Inner(block.Body)));
        if (jump != Jump.None)
        {
            return jump;
        }

        if (block.Filter is not null)
        {
            value = ApplyFilters(block.Filter, value);
        }

        CheckNamespaces(block.Target);
        Bind(block.Target, value, _scope);
        return Jump.None;
    }

    private Jump RunWith(With with)
    {
        var values = with.Bindings.ConvertAll(binding => Evaluate(binding.Value));
        var scope = _scope.Inner(with.Body);
        for (var i = 0; i < values.Count; i++)
        {
            Bind(with.Bindings[i].Target, values[i], scope);
        }

        return RunInner(with.Body, scope);
    }

    private Jump RunBlock(BlockNode block)
    {
        if (block.Escape is not null && PyType.IsTrue(Evaluate(block.Escape)))
        {
            throw Errors.Runtime("Automatic HTML escaping is not supported in chat templates: use the filter 'escape'.");
        }

        // A named block sees what the template sets at its top level, not the loop it stands in.
        var outer = block.IsScoped ? _scope : _topLevel;
        return RunInner(block.Body, outer.Inner(block.Body));
    }

    private void RunGeneration(Generation generation)
    {
        var start = _output.Length;
        RunInner(generation.Body, _scope.Inner(generation.Body));
        if (_buffers == 0)
        {
            _generationSpans.Add((start, _output.Length));
        }
        else
        {
            _isGenerationMisplaced = true;
        }
    }

    private void CheckNamespaces(Node target)
    {
        if (target is NamespaceTarget ns && _scope.Find(ns.Id) is not Namespace)
        {
            throw Errors.Runtime("cannot assign attribute on non-namespace object");
        }

        foreach (var child in target.Children)
        {
            CheckNamespaces(child);
        }
    }

    private void Bind(Node target, object? value, Scope scope)
    {
        switch (target)
        {
            case Name name:
                scope.Set(name.Id, value);
                break;
            case NamespaceTarget ns:
                if (ns.Attribute.StartsWith('_'))
                {
                    throw Errors.Security(
                        $"Chat templates cannot store underscore-prefixed attributes on a namespace, but got '{ns.Attribute}'. Please rename the attribute.");
                }

                ((Namespace)scope.Find(ns.Id)!).Attributes.Set(ns.Attribute, value);
                break;
            case TupleNode tuple:
                var items = ToListForUnpacking(value);
                if (items.Count != tuple.Items.Count)
                {
                    throw Errors.Value(items.Count > tuple.Items.Count
                        ? $"too many values to unpack (expected {tuple.Items.Count})"
                        : $"not enough values to unpack (expected {tuple.Items.Count}, got {items.Count})");
                }

                for (var i = 0; i < items.Count; i++)
                {
                    Bind(tuple.Items[i], items[i], scope);
                }

                break;
        }
    }

    private List<object?> ToListForUnpacking(object? value) =>
        Sequences.Items(value) is null ? throw Errors.Type($"cannot unpack non-iterable {PyType.Name(value)} object") : ToList(value);
}
