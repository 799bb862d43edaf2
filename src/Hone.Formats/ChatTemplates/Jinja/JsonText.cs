using System.Globalization;
using System.Numerics;
using System.Text;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>Python's <c>json.dumps</c>, for the filter <c>tojson</c>.</summary>
internal sealed class JsonText
{
    private readonly StringBuilder _text = new();
    private readonly Evaluator _evaluator;
    private readonly bool _isAscii;
    private readonly string? _indent;
    private readonly string _itemSeparator;
    private readonly string _keySeparator;
    private readonly bool _sortsKeys;
    private readonly HashSet<object> _open = new(ReferenceEqualityComparer.Instance);

    private JsonText(Evaluator evaluator, object?[] options)
    {
        _evaluator = evaluator;
        _isAscii = PyType.IsTrue(options[1]);
        _indent = options[2] is null ? null
            : PyType.TextOf(options[2]) ?? Text.Repeat(" ", Filters.Integer(options[2], "indent"), evaluator.Budget);
        _itemSeparator = _indent is null ? ", " : ",";
        _keySeparator = ": ";
        if (options[3] is not null)
        {
            var separators = evaluator.ToList(options[3]);
            if (separators.Count != 2 || PyType.TextOf(separators[0]) is not { } item || PyType.TextOf(separators[1]) is not { } key)
            {
                throw Errors.Type("tojson: separators must be two texts");
            }

            (_itemSeparator, _keySeparator) = (item, key);
        }

        _sortsKeys = PyType.IsTrue(options[4]);
    }

    public static string Write(Evaluator evaluator, object?[] options)
    {
        var writer = new JsonText(evaluator, options);
        writer.Append(options[0], 0);
        return writer._text.ToString();
    }

    private void Append(object? value, int level)
    {
        _evaluator.Budget.Spend(1);
        switch (value)
        {
            case null:
                _text.Append("null");
                break;
            case bool flag:
                _text.Append(flag ? "true" : "false");
                break;
            case long number:
                _text.Append(number);
                break;
            case BigInteger number:
                _text.Append(Integers.ToText(number));
                break;
            case double number:
                _text.Append(Number(number));
                break;
            case string text:
                AppendText(text);
                break;
            case Markup markup:
                AppendText(markup.Text);
                break;
            case PyList list:
                AppendItems(value, list.Items, level);
                break;
            case PyTuple tuple:
                AppendItems(value, tuple.Items, level);
                break;
            case PyDict dict:
                AppendDict(dict, level);
                break;
            default:
                throw Errors.Type($"Object of type {PyType.Name(value)} is not JSON serializable");
        }

        _evaluator.Budget.CheckText(_text.Length);
    }

    private static string Number(double number) =>
        double.IsNaN(number) ? "NaN" : double.IsInfinity(number) ? number > 0 ? "Infinity" : "-Infinity" : Floats.Repr(number);

    private void Open(object value)
    {
        _evaluator.Budget.Enter();
        if (!_open.Add(value))
        {
            throw Errors.Value("Circular reference detected");
        }
    }

    private void Close(object value)
    {
        _open.Remove(value);
        _evaluator.Budget.Leave();
    }

    private void AppendItems(object owner, IReadOnlyList<object?> items, int level)
    {
        if (items.Count == 0)
        {
            _text.Append("[]");
            return;
        }

        Open(owner);
        _text.Append('[');
        for (var i = 0; i < items.Count; i++)
        {
            AppendSeparator(i, level + 1);
            Append(items[i], level + 1);
        }

        AppendLine(level);
        _text.Append(']');
        Close(owner);
    }

    private void AppendDict(PyDict dict, int level)
    {
        if (dict.Count == 0)
        {
            _text.Append("{}");
            return;
        }

        Open(dict);
        _text.Append('{');
        var entries = dict.Entries;
        if (_sortsKeys)
        {
            var keys = Comparing.Sorted([.. dict.Keys], key => key, isReversed: false, _evaluator.Budget);
            entries = [.. keys.Select(key => KeyValuePair.Create(key, dict.TryGet(key, out var value) ? value : null))];
        }

        for (var i = 0; i < entries.Count; i++)
        {
            AppendSeparator(i, level + 1);
            AppendText(KeyOf(entries[i].Key));
            _text.Append(_keySeparator);
            Append(entries[i].Value, level + 1);
        }

        AppendLine(level);
        _text.Append('}');
        Close(dict);
    }

    private static string KeyOf(object? key) => key switch
    {
        string text => text,
        Markup markup => markup.Text,
        null => "null",
        bool flag => flag ? "true" : "false",
        double number => Number(number),
        long or BigInteger => Integers.ToText(PyType.IntegerOf(key)!.Value),
        _ => throw Errors.Type($"keys must be str, int, float, bool or None, not {PyType.Name(key)}"),
    };

    private void AppendSeparator(int index, int level)
    {
        _text.Append(index == 0 ? "" : _itemSeparator);
        AppendLine(level);
    }

    private void AppendLine(int level)
    {
        if (_indent is null)
        {
            return;
        }

        _evaluator.Budget.SpendText((long)_indent.Length * level);
        _text.Append('\n').Insert(_text.Length, _indent, level);
    }

    private void AppendText(string text)
    {
        _evaluator.Budget.SpendText(text.Length);
        _text.Append('"');
        foreach (var c in text)
        {
            switch (c)
            {
                case '"': _text.Append("\\\""); break;
                case '\\': _text.Append("\\\\"); break;
                case '\n': _text.Append("\\n"); break;
                case '\r': _text.Append("\\r"); break;
                case '\t': _text.Append("\\t"); break;
                case '\f': _text.Append("\\f"); break;
                case '\b': _text.Append("\\b"); break;
                case < ' ': AppendEscape(c); break;
                case > '~' when _isAscii: AppendEscape(c); break;
                default: _text.Append(c); break;
            }
        }

        _text.Append('"');
    }

    private void AppendEscape(char c) => _text.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
}
