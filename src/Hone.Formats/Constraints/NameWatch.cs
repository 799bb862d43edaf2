using System.Text;

namespace Hone.Formats.Constraints;

/// <summary>
/// Follows objects as they are written and knows the names of the members of all that are open, which no automaton could. Names are compared as they are spelt: the constraint
/// spells each in one way.
/// </summary>
internal sealed class NameWatch
{
    private readonly List<HashSet<string>?> _open = []; // an object's names; null for a list
    private readonly List<byte> _name = [];
    private bool _inString, _isName, _expectsName, _escaped;

    /// <summary>Some open object has a name, so that one may be repeated.</summary>
    public bool HasNames => _open.Exists(names => names is { Count: > 0 });

    /// <param name="symbol">The next byte.</param>
    /// <param name="isInObject">An object is open behind it. What stands around objects is no JSON, perhaps.</param>
    public void Write(byte symbol, bool isInObject)
    {
        if (isInObject)
        {
            Write(symbol, null);
            return;
        }
        _open.Clear();
        _inString = _escaped = false;
    }

    /// <summary>Whether a text would complete a name that its object has already. Nothing is changed.</summary>
    public bool Repeats(ReadOnlySpan<byte> bytes)
    {
        // A name is complete at its second quote.
        int quotes = bytes.Count((byte)'"') + (_inString ? 1 : 0);
        if (quotes < 2 || (_inString && !_isName && quotes < 3))
            return false;
        var journal = new Stack<(HashSet<string>? Closed, HashSet<string>? AddedTo, string? Name)>();
        byte[] name = [.. _name];
        (bool, bool, bool, bool) flags = (_inString, _isName, _expectsName, _escaped);
        bool repeats = false;
        foreach (byte symbol in bytes)
            repeats |= Write(symbol, journal);
        foreach ((HashSet<string>? closed, HashSet<string>? addedTo, string? added) in journal)
        {
            if (added is not null)
                addedTo!.Remove(added);
            else if (addedTo is null)
                _open.Add(closed);
            else
                _open.RemoveAt(_open.Count - 1);
        }
        _name.Clear();
        _name.AddRange(name);
        (_inString, _isName, _expectsName, _escaped) = flags;
        return repeats;
    }

    /// <returns>Whether a name is complete that is there already.</returns>
    private bool Write(byte symbol, Stack<(HashSet<string>?, HashSet<string>?, string?)>? journal)
    {
        if (_inString)
            return InString(symbol, journal);
        switch (symbol)
        {
            case (byte)'"':
                (_inString, _isName) = (true, _expectsName);
                _name.Clear();
                break;
            case (byte)'{' or (byte)'[':
                HashSet<string>? names = symbol == '{' ? [] : null;
                _open.Add(names);
                journal?.Push((null, s_opened, null));
                _expectsName = symbol == '{';
                break;
            case (byte)'}' or (byte)']' when _open.Count > 0:
                journal?.Push((_open[^1], null, null));
                _open.RemoveAt(_open.Count - 1);
                _expectsName = false;
                break;
            case (byte)',':
                _expectsName = _open.Count > 0 && _open[^1] is not null;
                break;
            case (byte)':':
                _expectsName = false;
                break;
        }
        return false;
    }

    private static readonly HashSet<string> s_opened = []; // marks in a journal that something was opened

    private bool InString(byte symbol, Stack<(HashSet<string>?, HashSet<string>?, string?)>? journal)
    {
        if (symbol == '"' && !_escaped)
        {
            _inString = false;
            if (!_isName || _open is not [.., { } names])
                return false;
            string name = Encoding.Latin1.GetString([.. _name]);
            if (!names.Add(name))
                return true;
            journal?.Push((null, names, name));
            return false;
        }
        _escaped = symbol == '\\' && !_escaped;
        if (_isName)
            _name.Add(symbol);
        return false;
    }
}
