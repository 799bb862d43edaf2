using System.Text;
using System.Text.RegularExpressions;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Renders one input with a parsed template. Walks the nodes; holds all state of the rendering.</summary>
internal sealed partial class Evaluator
{
    private readonly Scope _root = new(null);
    private readonly List<(int Start, int End)> _generationSpans = [];
    private readonly ChatTemplateLimits _limits;
    private StringBuilder _output = new();
    private Scope _scope;
    private Scope _topLevel;
    private Node? _here;
    private int _buffers;
    private bool _isGenerationMisplaced;

    private Evaluator(ChatTemplateLimits limits, TimeProvider clock, CancellationToken cancellationToken)
    {
        _limits = limits;
        Clock = clock;
        Budget = new Budget(limits, cancellationToken);
        _scope = _topLevel = _root;
    }

    public Budget Budget { get; }

    public TimeProvider Clock { get; }

    public static RenderedChat Render(
        Body template, IEnumerable<KeyValuePair<string, object?>> variables, ChatTemplateLimits limits, TimeProvider clock, CancellationToken cancellationToken)
    {
        var evaluator = new Evaluator(limits, clock, cancellationToken);
        foreach (var (name, value) in Globals.All.Concat(variables))
        {
            evaluator._root.Set(name, value);
        }

        try
        {
            evaluator._scope = evaluator._topLevel = evaluator._root.Inner(template);
            evaluator.Run(template.Statements);
            return new RenderedChat(evaluator._output.ToString(), evaluator._generationSpans) { IsGenerationMisplaced = evaluator._isGenerationMisplaced };
        }
        catch (ChatTemplateException error)
        {
            throw error.At(evaluator._here?.Line ?? 1);
        }
        catch (RegexMatchTimeoutException)
        {
            throw new ChatTemplateException("LimitError", "A filter takes too long on this input.", evaluator._here?.Line ?? 1);
        }
    }

    /// <summary>Every pass over items goes through here, so that none is free.</summary>
    public IEnumerable<object?> Iterate(object? value)
    {
        var items = Sequences.Items(value) ?? throw Errors.Type($"'{PyType.Name(value)}' object is not iterable");
        return Counted(items);
    }

    private IEnumerable<object?> Counted(IEnumerable<object?> items)
    {
        foreach (var item in items)
        {
            Budget.Spend(1);
            yield return item;
        }
    }

    public List<object?> ToList(object? value) => [.. Iterate(value)];

    public string Str(object? value)
    {
        var text = Text.Str(value, Budget);
        Budget.SpendText(text.Length);
        return text;
    }

    private void Write(string text)
    {
        Budget.SpendText(text.Length);
        Budget.CheckText((long)_output.Length + text.Length);
        _output.Append(text);
    }

    /// <summary>Runs an action that writes, and returns what it wrote.</summary>
    private string Capture(Action write)
    {
        var outer = _output;
        _output = new StringBuilder();
        _buffers++;
        try
        {
            write();
            return _output.ToString();
        }
        finally
        {
            _buffers--;
            _output = outer;
        }
    }

    private Jump RunInner(Body body, Scope scope)
    {
        var outer = _scope;
        _scope = scope;
        try
        {
            return Run(body.Statements);
        }
        finally
        {
            _scope = outer;
        }
    }
}

/// <summary>How a statement ends.</summary>
internal enum Jump
{
    None, Break, Continue,
}
