namespace Hone.Core.Inference;

/// <summary>An engine did not do what was asked, by no fault of the request.</summary>
public abstract class EngineException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>The engine ended, or broke its protocol, while it worked on the request. The same request may well succeed on the next engine.</summary>
public sealed class EngineCrashedException(string message, Exception? inner = null) : EngineException(message, inner);

/// <summary>The engine does not start, or has crashed so often that it is left alone for a while.</summary>
/// <param name="retryAfter">When trying again makes sense.</param>
public sealed class EngineUnavailableException(string message, TimeSpan retryAfter, Exception? inner = null) : EngineException(message, inner)
{
    public TimeSpan RetryAfter => retryAfter;
}

/// <summary>Too many requests wait for the model already; Cloudflare's error 3040, status 429.</summary>
public sealed class EngineBusyException(string message) : EngineException(message);

/// <summary>No such model.</summary>
public sealed class ModelNotFoundException(string modelId) : Exception($"There is no model '{modelId}'. `hone models list` shows what there is.")
{
    public string ModelId => modelId;
}
