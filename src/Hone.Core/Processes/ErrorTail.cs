using System.Text;

namespace Hone.Core.Processes;

/// <summary>The last 64 K characters of a child's standard error. A line without end is cut into pieces, so that it cannot fill the memory.</summary>
internal sealed class ErrorTail
{
    private const int Kept = 64 * 1024;
    private const int MaxLine = 4096;

    private readonly Lock _lock = new();
    private readonly Queue<string> _lines = [];
    private readonly char[] _buffer = new char[MaxLine];
    private readonly StringBuilder _line = new();
    private int _length;
    private int _next;
    private int _filled;

    /// <summary>The next line, which is kept; null at the end.</summary>
    public async Task<string?> ReadLineAsync(TextReader reader)
    {
        while (true)
        {
            while (_next < _filled)
            {
                char c = _buffer[_next++];
                if (c == '\n' || _line.Length == MaxLine)
                    return Take(c);
                if (c != '\r')
                    _line.Append(c);
            }
            _next = 0;
            _filled = await reader.ReadAsync(_buffer);
            if (_filled == 0)
                return _line.Length > 0 ? Take('\n') : null;
        }
    }

    public string Last(int lines)
    {
        lock (_lock)
            return string.Join('\n', _lines.Skip(Math.Max(0, _lines.Count - lines)));
    }

    private string Take(char last)
    {
        string line = _line.ToString();
        _line.Clear();
        if (last != '\n')
            _line.Append(last);
        lock (_lock)
        {
            _lines.Enqueue(line);
            _length += line.Length + 1;
            while (_length > Kept)
                _length -= _lines.Dequeue().Length + 1;
        }
        return line;
    }
}
