using System.Runtime.CompilerServices;

namespace Hone.Formats.ChatTemplates.Jinja;

/// <summary>What one rendering may use: steps, the length of a text and depth. A template is untrusted.</summary>
internal sealed class Budget(ChatTemplateLimits limits, CancellationToken cancellationToken)
{
    private const int CharactersPerStep = 4;
    private const int CheckEvery = 4096;
    private long _steps;
    private long _nextCheck = CheckEvery;
    private int _depth;

    public void Spend(long steps)
    {
        _steps += steps;
        if (_steps < _nextCheck)
        {
            return;
        }

        _nextCheck = _steps + CheckEvery;
        cancellationToken.ThrowIfCancellationRequested();
        if (_steps > limits.MaxSteps)
        {
            throw new ChatTemplateException("LimitError", $"The template takes more than {limits.MaxSteps} steps to render this input.");
        }
    }

    /// <summary>To be called before a text of this many UTF-16 units is made.</summary>
    public void SpendText(long length)
    {
        CheckText(length);
        Spend((length / CharactersPerStep) + 1);
    }

    public void CheckText(long length)
    {
        if (length > limits.MaxTextLength)
        {
            throw new ChatTemplateException("LimitError", $"The template makes a text longer than {limits.MaxTextLength} characters.");
        }
    }

    public void Enter()
    {
        if (++_depth > limits.MaxDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Errors.Recursion();
        }
    }

    public void Leave() => _depth--;
}
