using System.Security.Cryptography;
using Hone.Formats.Inference;
using Hone.Formats.Tokenizers;
using Hone.Formats.ToolCalls;

namespace Hone.Training.Generation;

/// <summary>An answer's tokens → its events: text as soon as it is certain, calls of functions once they are complete, log-probabilities with the text that they cover.</summary>
/// <param name="tokenizer">The model's.</param>
/// <param name="stops">Texts that end the answer.</param>
/// <param name="format">How calls are written; null where none can come.</param>
/// <param name="mustCall">The answer is nothing but calls.</param>
/// <param name="write">Takes the events.</param>
internal sealed class AnswerWriter(Tokenizer tokenizer, IReadOnlyList<string> stops, ToolCallFormat? format, bool mustCall, Action<GenerateEvent> write)
{
    private readonly TextStream _text = new(tokenizer, format is { BeginToken: null, OnlyAtStart: false } ? [.. stops, format.Begin] : stops);
    private readonly List<(TokenLogprob Entry, int Start)> _pending = []; // with where its text begins
    private readonly ToolCallReader _reader = new(format?.BeforeName ?? "");
    private bool _inCalls;
    private int _given;

    // The answer's first text while it may still be the beginning of a call.
    private string? _head = format is { OnlyAtStart: true } ? "" : null;

    /// <summary>Complete calls.</summary>
    public int Calls { get; private set; }

    /// <summary>A stop text was reached.</summary>
    public bool Stopped => _text.Stopped && !_inCalls;

    public void Take(int token, TokenLogprob? logprob)
    {
        if (_inCalls)
        {
            Read(_text.AfterStop(token));
            return;
        }
        if (format?.BeginToken is { } begin && token == begin)
        {
            Give(_text.Flush(), end: true);
            _inCalls = true;
            return;
        }
        if (logprob is not null)
            _pending.Add((logprob, _text.Length));
        string text = _text.Next(token);
        if (_head is not null)
        {
            text = _head += text;
            if (text.StartsWith(format!.Begin, StringComparison.Ordinal))
            {
                _inCalls = true;
                Read(text + _text.TakeHeld());
                return;
            }
            if (!_text.Stopped && format.Begin.StartsWith(text, StringComparison.Ordinal))
                return;
            _head = null;
        }
        Give(text, end: _text.Stopped);
        if (!_text.Stopped || format is null || _text.Stop != format.Begin)
            return;
        _inCalls = true;
        Read(_text.Rest);
    }

    /// <summary>No token follows.</summary>
    public void End()
    {
        // The beginning of a call that was cut off is no text.
        if (!_inCalls && !mustCall)
            Give(_head + _text.Flush(), end: true);
    }

    private void Give(string text, bool end)
    {
        _given += text.Length;
        // Of what is held back the log-probabilities are, too; what a stop text has cut off has none.
        List<TokenLogprob> covered = [.. _pending.TakeWhile(p => p.Start < _given || (end && !_text.Stopped)).Select(p => p.Entry)];
        if (end)
            _pending.Clear();
        else
            _pending.RemoveRange(0, covered.Count);
        if (text.Length > 0 || covered.Count > 0)
            write(new GenerateEvent.Token(text, covered.Count > 0 ? covered : null));
    }

    private void Read(string text)
    {
        foreach (WrittenCall call in _reader.Take(text))
            write(new GenerateEvent.ToolCall(Calls++, NewId(), call.Name, call.Arguments));
    }

    private string NewId()
    {
        string random = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(12));
        return format!.IdLength < 24 ? random[..format.IdLength] : $"call_{random}";
    }
}
