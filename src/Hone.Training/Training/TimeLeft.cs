namespace Hone.Training.Training;

/// <summary>
/// How long a run will still take, from what its own steps have taken. A step costs by its tokens; evaluations and what is written at the end of an epoch cost what they cost before; the losses of all
/// rows after the last step cost a pass forward over an epoch, and so does the first epoch's reference of preference pairs. The first step of a process, which also warms it up, is left out as soon as there are others,
/// and of the others the last ones count most: a machine is not equally fast all the time.
/// </summary>
/// <param name="plan">What the run consists of.</param>
/// <param name="doneTokens">Of the rows of steps that an earlier process did.</param>
internal sealed class TimeLeft(RunPlan plan, long doneTokens)
{
    /// <summary>Of a step's time, where there is no backward pass: as measured with adapters on all linear layers. Evaluations measure it once there are some.</summary>
    private const double ForwardShare = 0.4;

    /// <summary>Seconds after which a step counts half.</summary>
    private const double HalfLife = 10;

    /// <summary>How much a step counts beside the next one, however long they take.</summary>
    private const double LeastWeight = 0.9;

    private readonly Average _evaluations = new();
    private readonly Average _epochs = new();
    private double _seconds, _work, _rate;
    private long _done = doneTokens;

    /// <param name="tokens">Of the step's rows.</param>
    public void Step(long tokens, double seconds)
    {
        double work = WorkUntil(_done + tokens) - WorkUntil(_done);
        _done += tokens;
        if (_rate == 0)
        {
            _rate = seconds / Math.Max(1, work);
            return;
        }
        double weight = Math.Max(LeastWeight, Math.Pow(0.5, seconds / HalfLife));
        _seconds = weight * _seconds + seconds;
        _work = weight * _work + work;
        _rate = _seconds / Math.Max(1, _work);
    }

    public void Evaluation(double seconds) => _evaluations.Add(seconds);

    public void Epoch(double seconds) => _epochs.Add(seconds);

    /// <summary>Seconds from the end of a step, before what follows upon it, to the end of the job.</summary>
    public double After(int step)
    {
        int epochs = plan.Steps / plan.StepsAnEpoch - (step - 1) / plan.StepsAnEpoch;
        int evaluations = plan.EvaluationTokens == 0 ? 0 : plan.Steps / plan.EvalEvery - (step - 1) / plan.EvalEvery + (plan.Steps % plan.EvalEvery == 0 ? 0 : 1);
        double forward = _rate * ForwardShare, evaluation = _evaluations.Or(forward * plan.EvaluationTokens);
        if (plan.EvaluationTokens > 0)
            forward = evaluation / plan.EvaluationTokens;
        return _rate * Math.Max(0, WorkUntil(plan.EpochTokens * (plan.Steps / plan.StepsAnEpoch)) - WorkUntil(_done)) + evaluations * evaluation + epochs * _epochs.Or(0) + forward * plan.EpochTokens + plan.SecondsAfter;
    }

    /// <summary>Of the steps over so many tokens, in tokens.</summary>
    private double WorkUntil(long tokens) => tokens + (plan.HasReference ? ForwardShare * Math.Min(tokens, plan.EpochTokens) : 0);

    private sealed class Average
    {
        private double _sum;
        private int _count;

        public void Add(double value)
        {
            _sum += value;
            _count++;
        }

        public double Or(double otherwise) => _count == 0 ? otherwise : _sum / _count;
    }
}

/// <param name="Steps">A multiple of those of an epoch.</param>
/// <param name="EpochTokens">Of all training rows.</param>
/// <param name="EvaluationTokens">Of the validation rows; 0: there are none.</param>
/// <param name="HasReference">The base's log-probability of each row is computed with the first step that sees it: preference pairs.</param>
/// <param name="SecondsAfter">From the rows' losses to the job's end.</param>
internal sealed record RunPlan(int Steps, int StepsAnEpoch, int EvalEvery, long EpochTokens, long EvaluationTokens, bool HasReference, double SecondsAfter);
