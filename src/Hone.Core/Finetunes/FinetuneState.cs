namespace Hone.Core.Finetunes;

/// <summary>The states of a finetune, which is its job as well.</summary>
public enum FinetuneState
{
    /// <summary>Made; its files are still to come.</summary>
    AwaitingAssets,

    /// <summary>The training data is being checked.</summary>
    Validating,

    /// <summary>A worker may claim it.</summary>
    Queued,

    /// <summary>A worker holds it under a lease and a fence.</summary>
    Running,

    /// <summary>Held back by the user; goes on from its last checkpoint.</summary>
    Paused,

    /// <summary>Final: the adapter is there and works.</summary>
    Ready,

    /// <summary>Final: the error says why.</summary>
    Failed,

    /// <summary>Final: by the user.</summary>
    Cancelled,
}

/// <summary>The one table of states and transitions. The database's CHECK constraints are made from it.</summary>
public static class FinetuneStates
{
    private static readonly (FinetuneState State, string Name, FinetuneState[] Next)[] Table =
    [
        (FinetuneState.AwaitingAssets, "awaiting_assets", [FinetuneState.Validating, FinetuneState.Ready, FinetuneState.Cancelled]),
        (FinetuneState.Validating, "validating", [FinetuneState.Queued, FinetuneState.Failed, FinetuneState.Cancelled]),
        (FinetuneState.Queued, "queued", [FinetuneState.Running, FinetuneState.Paused, FinetuneState.Cancelled]),
        (FinetuneState.Running, "running", [FinetuneState.Queued, FinetuneState.Paused, FinetuneState.Ready, FinetuneState.Failed, FinetuneState.Cancelled]),
        (FinetuneState.Paused, "paused", [FinetuneState.Queued, FinetuneState.Cancelled]),
        (FinetuneState.Ready, "ready", []),
        (FinetuneState.Failed, "failed", []),
        (FinetuneState.Cancelled, "cancelled", []),
    ];

    public static IReadOnlyList<FinetuneState> All { get; } = [.. Table.Select(row => row.State)];

    /// <summary>As the API and the database spell it.</summary>
    public static string Name(this FinetuneState state) => Table[(int)state].Name;

    public static FinetuneState Parse(string name)
    {
        foreach (var row in Table)
        {
            if (row.Name == name)
                return row.State;
        }
        throw new ArgumentException($"There is no state \"{name}\".", nameof(name));
    }

    /// <summary>Nothing follows: ready, failed or cancelled.</summary>
    public static bool IsFinal(this FinetuneState state) => Table[(int)state].Next.Length == 0;

    public static IReadOnlyList<FinetuneState> Next(this FinetuneState state) => Table[(int)state].Next;

    public static bool CanBecome(this FinetuneState state, FinetuneState next) => Array.IndexOf(Table[(int)state].Next, next) >= 0;
}
