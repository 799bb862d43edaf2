namespace Hone.Formats.Jobs;

/// <summary>Names that a trainer and its worker agree on.</summary>
public static class JobFiles
{
    /// <summary>Loss and accuracy of each step, as a table: what OpenAI's API calls the result file.</summary>
    public const string StepMetrics = "step_metrics.csv";

    /// <summary>The line on a trainer's standard input that asks it to write a checkpoint and go.</summary>
    public const string PauseLine = "pause";

    /// <summary>The code of a failure that is not the job's.</summary>
    public const string DiskFull = "disk_full";
}
